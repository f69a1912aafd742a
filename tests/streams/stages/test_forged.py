"""Anybody who may produce to the act topic can write there: a record that no stage of ours made becomes a dead letter,
and nothing is executed.

The guard makes a dead letter of `Forged`.
"""

from datetime import timedelta
from typing import Any

import pytest

from nightdesk.processors.provenance import Forged, payload_sha256
from nightdesk.schemas import ids
from nightdesk.schemas.approval_details import ApprovalRequestDetail
from nightdesk.schemas.records import ApprovalReply, BudgetEntry, Decision, Spent, Timer
from nightdesk.schemas.topics import ACT, APPROVALS, BUDGET, TIMERS
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.execution import KEPT_S
from tests.processors.examples import NOW, case, compiled, event
from tests.schemas.details import detail_as
from tests.streams.stages.stage_harness import CODEC, Bench, Clock, audited, in_force, said, words
from tests.streams.stages.world import World, decision

CHARTER = compiled()
CASE = case(CHARTER, event(customer="c-1"))
RESPOND = decision(CASE, text="tomorrow")
REFUND = decision(CASE, "refund", amount=50.0)


def _bench(world: World) -> Bench:
    return Bench(Act(in_force(CHARTER), world, Clock()))


def _with_case(given: Decision, **changes: Any) -> Decision:
    return given.model_copy(update={"case": given.case.model_copy(update=changes)})


def _with_event(given: Decision, **changes: Any) -> Decision:
    return _with_case(given, event=given.case.event.model_copy(update=changes))


def _at_step(step: int, **changes: Any) -> Decision:
    later = CASE.model_copy(update={"step": step, "spent": Spent(actions=step), **changes})
    return decision(later, text="again")


FORGED = {
    "another decision id": RESPOND.model_copy(update={"decision_id": ids.decision_id("other", 0)}),
    "another case id": _with_case(RESPOND, case_id=ids.case_id("desk", "shop", "e-2", CASE.subject)),
    "another subject": _with_event(RESPOND, subject="another"),
    "another event": _with_event(RESPOND, id="e-2"),
    "a kind that knows no bounds": RESPOND.model_copy(update={"kind": "escalate"}),
    "an event of a type that the charter takes no part in": _with_event(RESPOND, type="ticket.closed"),
    "an event whose when does not hold": _with_event(RESPOND, data='{"status": "closed", "text": "x"}'),
    "an event that breaks its schema": _with_event(RESPOND, data='{"status": "open"}'),
    "an event that is no JSON": _with_event(RESPOND, data="{"),
    "a refused one": RESPOND.model_copy(update={"disposition": "refused"}),
    "a first step with a past": _with_case(RESPOND, spent=Spent(actions=1)),
    "a step before which nothing was done": _at_step(1),
    "a step far beyond all bounds": _at_step(1_000_000),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
async def test_what_no_stage_of_ours_said_is_not_done(forged: Decision) -> None:
    world = World()
    bench = _bench(world)
    with pytest.raises(Forged):
        await bench.take(ACT, forged)
    assert world.calls == []
    assert len(bench.tables["progress"]) == len(bench.tables["approvals"]) == 0


@pytest.mark.parametrize(
    "second",
    [
        decision(CASE, text="something else"),
        decision(CASE, "look", "research"),
        _with_event(RESPOND, time=NOW + timedelta(seconds=1)),
        _with_event(RESPOND, data='{"status": "open", "text": "x", "customer": "c-2"}'),
    ],
)
async def test_an_id_stands_for_one_payload(second: Decision) -> None:
    world = World()
    bench = _bench(world)
    await bench.take(ACT, RESPOND)
    with pytest.raises(Forged, match="another payload"):
        await bench.take(ACT, second, 1)
    assert world.handlers == ["send", "note"]


async def test_after_its_end_a_case_does_not_go_on() -> None:
    world = World()
    bench = _bench(world)
    await bench.take(ACT, RESPOND)
    with pytest.raises(Forged, match="does not follow"):
        await bench.take(ACT, _at_step(1), 1)


async def test_a_case_goes_on_with_the_past_that_it_has_and_no_other() -> None:
    world = World()
    bench = _bench(world)
    [asks] = said(await bench.take(ACT, decision(CASE, "look", "research")), BUDGET, BudgetEntry)
    following = asks.case
    assert following is not None
    charged = following.spent.model_copy(update={"model_calls": 3, "cost_microusd": 40})
    true = decision(following.model_copy(update={"spent": charged, "reserved_microusd": 7}), text="found")
    for writes in (
        {"history": ()},
        {"spent": Spent(actions=1, external_calls=0)},
        {"charter_version": "0" * 16},
        {"event": event(customer="c-9")},
    ):
        lie = _with_case(true, **writes)
        with pytest.raises((Forged, LookupError)):
            await bench.take(ACT, lie, 1)
    await bench.take(ACT, true, 2)
    assert world.handlers == ["history", "send", "note"]


async def test_a_long_wait_is_remembered_until_it_is_over() -> None:
    charter = compiled(("at_most: 24h", "at_most: 365d"))
    bench = Bench(Act(in_force(charter), World(), Clock()))
    [reminder] = said(await bench.take(ACT, decision(case(charter), "wait", "wait", after="90d")), TIMERS, Timer)
    following = CODEC.decode(BudgetEntry, reminder.value).case
    assert following is not None
    late = reminder.due_at.timestamp() + KEPT_S - 1
    assert bench.tables["progress"].expired(1, late) == []
    [record] = audited(await bench.take(ACT, decision(following, text="now"), 1))
    assert record.status == "completed"


async def test_what_waits_for_a_person_is_not_let_go_by_a_copy_that_says_otherwise() -> None:
    world = World()
    bench = _bench(world)
    doubtful = RESPOND.model_copy(update={"disposition": "needs_approval", "disposition_reason": "they disagree"})
    asked = await bench.take(ACT, doubtful)
    again = await bench.take(ACT, RESPOND, 1)
    assert words(again) == words(asked)
    assert world.calls == []


async def test_an_approval_is_of_what_was_shown() -> None:
    """Not of another decision that comes later with the same id."""
    world = World()
    bench = _bench(world)
    await bench.take(ACT, REFUND)
    for other in (decision(CASE, "refund", amount=99.0), decision(CASE, text="hi")):
        with pytest.raises(Forged):
            await bench.take(ACT, other, 1)
    await bench.take(APPROVALS, _reply(REFUND), 2)
    with pytest.raises(Forged):
        await bench.take(ACT, decision(CASE, "refund", amount=99.0), 3)
    assert world.handlers == ["pay"]


async def test_what_a_person_changed_stays_changed_when_the_record_that_asked_is_read_again() -> None:
    world = World()
    bench = _bench(world)
    asked = await bench.take(ACT, REFUND)
    await bench.take(APPROVALS, _reply(REFUND, verdict="edit", parameters='{"amount": 5.0}'), 2)
    assert words(await bench.take(ACT, REFUND)) == words(asked)
    assert world.handlers == ["pay"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"person": ""}, "nobody"),
        ({"person": " \t"}, "nobody"),
        ({"verdict": "edit"}, "parameters"),
        ({"parameters": '{"amount": 99.0}'}, "parameters"),
        ({"payload_sha256": ""}, "differs"),
        ({"payload_sha256": payload_sha256(RESPOND)}, "differs"),
    ],
)
async def test_an_answer_that_is_none_counts_for_nothing(wrong: dict[str, Any], reason: str) -> None:
    world = World()
    bench = _bench(world)
    await bench.take(ACT, REFUND)
    [record] = audited(await bench.take(APPROVALS, _reply(REFUND, **wrong), 1))
    assert record.status == "ignored"
    assert reason in record.reason
    assert world.calls == []


async def test_what_the_card_shows_is_what_the_answer_binds() -> None:
    [record] = audited(await _bench(World()).take(ACT, REFUND))
    detail = detail_as(ApprovalRequestDetail, record)
    assert (detail.parameters, detail.payload_sha256) == (REFUND.parameters, payload_sha256(REFUND))


async def test_a_decision_that_was_only_to_be_rehearsed_stays_that() -> None:
    world = World()
    shadow = RESPOND.model_copy(update={"disposition": "dry_run"})
    [record] = audited(await _bench(world).take(ACT, shadow))
    assert (record.disposition, world.calls) == ("dry_run", [])


def _reply(shown: Decision, **fields: Any) -> ApprovalReply:
    given = {"decision_id": shown.decision_id, "subject": "t-1", "verdict": "approve", "person": "ada", "time": NOW}
    return ApprovalReply.model_validate({**given, "payload_sha256": payload_sha256(shown), **fields})
