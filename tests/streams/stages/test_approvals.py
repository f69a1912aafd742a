"""A decision that needs a person waits; the first answer to what was really shown counts, and no other."""

from typing import Any

import pytest

from processors.provenance import payload_sha256
from schemas.records import ApprovalReply, Decision, Reminder
from schemas.topics import ACT, APPROVALS, LATER
from streams.stages.act import Act
from streams.stages.approvals import EXPIRES_AFTER, EXPIRY
from tests.processors.examples import NOW, case, compiled
from tests.streams.stages.bench import CODEC, Bench, Clock, audited, in_force, said, words
from tests.streams.stages.world import AWAY, World, decision

CHARTER = compiled()
REFUND = decision(case(CHARTER), "refund", amount=50.0)


def _bench(world: World) -> Bench:
    return Bench(Act(in_force(CHARTER), world, Clock()))


def _reply(verdict: str = "approve", **fields: Any) -> ApprovalReply:
    given = {"decision_id": REFUND.decision_id, "subject": "t-1", "verdict": verdict, "person": "ada", "time": NOW}
    return ApprovalReply.model_validate({**given, "payload_sha256": payload_sha256(REFUND), **fields})


async def _held(world: World) -> Bench:
    bench = _bench(world)
    await bench.take(ACT, REFUND)
    return bench


async def test_a_decision_that_needs_a_person_is_shown_and_not_done() -> None:
    world = World()
    changes = await _bench(world).take(ACT, REFUND)
    [record] = audited(changes)
    assert (record.kind, record.status) == ("approval", "needs_approval")
    assert payload_sha256(REFUND) in record.detail
    assert world.calls == []
    [reminder] = said(changes, LATER, Reminder)
    expiry = CODEC.decode(ApprovalReply, reminder.value)
    assert (reminder.topic, reminder.due_at, expiry.verdict, expiry.person) == (
        "approvals",
        NOW + EXPIRES_AFTER,
        "reject",
        EXPIRY,
    )


async def test_approved_it_is_done_once() -> None:
    world = World()
    bench = await _held(world)
    first = await bench.take(APPROVALS, _reply(), 3)
    assert [(record.kind, record.status) for record in audited(first)] == [
        ("approval", "running"),
        ("acted", "completed"),
    ]
    again = await bench.take(APPROVALS, _reply(), 3)
    assert words(again) == words(first)
    assert world.handlers == ["pay"]


async def test_approved_it_waits_for_its_system_as_the_decision_that_was_made() -> None:
    asks = REFUND.model_copy(update={"disposition": "needs_approval"})
    bench = _bench(World(pay=[AWAY]))
    await bench.take(ACT, asks)
    [reminder] = said(await bench.take(APPROVALS, _reply(), 3), LATER, Reminder)
    again = CODEC.decode(Decision, reminder.value)
    assert again == asks
    [acted] = audited(await bench.take(ACT, again, 4))
    assert (acted.status, acted.disposition) == ("completed", "execute")


async def test_a_person_may_change_the_parameters() -> None:
    world = World()
    bench = await _held(world)
    changes = await bench.take(APPROVALS, _reply("edit", parameters='{"amount": 20.0}'), 3)
    assert [record.status for record in audited(changes)] == ["running", "completed"]
    assert world.handlers == ["pay"]


async def test_a_person_may_not_change_them_to_what_the_rules_forbid() -> None:
    world = World()
    bench = await _held(world)
    changes = await bench.take(APPROVALS, _reply("edit", parameters='{"amount": 2000.0}'), 3)
    assert [record.status for record in audited(changes)] == ["running", "refused"]
    assert world.calls == []


@pytest.mark.parametrize("verdict", ["approve", "reject", "edit"])
async def test_an_answer_to_something_else_changes_nothing(verdict: str) -> None:
    world = World()
    bench = await _held(world)
    before = dict(bench.tables["approvals"].facts(1))
    [record] = audited(await bench.take(APPROVALS, _reply(verdict, payload_sha256="0" * 64), 3))
    assert (record.status, record.case_id) == ("ignored", None)
    assert "payload_sha256 differs" in record.reason
    assert bench.tables["approvals"].facts(1) == before
    assert world.calls == []


async def test_an_answer_to_no_question_changes_nothing() -> None:
    world = World()
    [record] = audited(await _bench(world).take(APPROVALS, _reply(), 3))
    assert (record.status, world.calls) == ("ignored", [])


@pytest.mark.parametrize(("first", "second"), [("approve", "reject"), ("reject", "approve"), ("approve", "approve")])
async def test_the_first_answer_wins(first: str, second: str) -> None:
    world = World()
    bench = await _held(world)
    await bench.take(APPROVALS, _reply(first), 3)
    [record] = audited(await bench.take(APPROVALS, _reply(second, person="bob"), 4))
    assert (record.status, record.reason) == ("ignored", f"it was answered before: {first}")
    assert world.handlers == (["pay"] if first == "approve" else [])


async def test_rejected_it_ends() -> None:
    bench = await _held(World())
    changes = await bench.take(APPROVALS, _reply("reject", reason="too much"), 3)
    ended = audited(changes)[-1]
    assert (ended.status, ended.reason) == ("refused", "rejected by ada: too much")
    assert words(await bench.take(APPROVALS, _reply("reject", reason="too much"), 3)) == words(changes)


async def test_the_decision_again_after_the_answer_does_not_ask_again_or_pay_again() -> None:
    world = World()
    bench = await _held(world)
    await bench.take(APPROVALS, _reply(), 3)
    changes = await bench.take(ACT, REFUND)
    assert [record.status for record in audited(changes)] == ["completed"]
    assert world.handlers == ["pay"]


async def test_what_is_shown_is_bound_to_the_decision_the_action_and_its_parameters() -> None:
    others = [
        decision(case(CHARTER, step=1), "refund", amount=50.0),
        decision(case(CHARTER), "respond", amount=50.0),
        decision(case(CHARTER), "refund", amount=50.5),
    ]
    assert len({payload_sha256(shown) for shown in (REFUND, *others)}) == 4
