"""Four eyes: several persons approve one payload, and whoever asked for it or put the charter in force does not."""

from __future__ import annotations

from typing import Any

import pytest

from nightdesk.processors.charter import CompiledCharter
from nightdesk.processors.playbook import RunStep, StepResult
from nightdesk.processors.provenance import payload_sha256
from nightdesk.schemas.approval_details import ApprovalReplyDetail, ApprovalRequestDetail
from nightdesk.schemas.records import ApprovalReply, AuditRecord, Decision
from nightdesk.schemas.topics import ACT, APPROVALS
from nightdesk.streams.control import Control
from nightdesk.streams.stages.act import Act
from tests.processors.examples import NOW, case, compiled, event
from tests.schemas.details import detail_as
from tests.streams.stages.stage_harness import Bench, Clock, audited, in_force, order, words
from tests.streams.stages.world import World, decision

ALWAYS = "approval: always\n    writes: true"


def charter(four_eyes: str, mode: str = "live") -> CompiledCharter:
    return compiled((ALWAYS, f"{ALWAYS}\n    four_eyes: {four_eyes}"), ("mode: live", f"mode: {mode}"))


TWO = charter("{approvers: 2}")
NOT_ASKER = charter("{requested_by: event.data.opened_by}")
NOT_PROMOTER = charter("{not_promoter: true}")


def refund(under: CompiledCharter, **data: Any) -> Decision:
    return decision(case(under, event(**data)), "refund", amount=50.0)


def reply(to: Decision, person: str, verdict: str = "approve", **fields: Any) -> ApprovalReply:
    given = {"decision_id": to.decision_id, "subject": "t-1", "verdict": verdict, "person": person, "time": NOW}
    return ApprovalReply.model_validate({**given, "payload_sha256": payload_sha256(to), **fields})


class Paid(World):
    """Keeps what was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.paid: list[dict[str, Any]] = []

    async def perform(self, compiled: CompiledCharter, step: RunStep, subject: str, traceparent: str) -> StepResult:
        self.paid.append(step.request)
        return await super().perform(compiled, step, subject, traceparent)


async def held(under: CompiledCharter, one: Decision, control: Control | None = None) -> tuple[Paid, Bench]:
    world = Paid()
    bench = Bench(Act(control or in_force(under), world, Clock()))
    await bench.take(ACT, one)
    return world, bench


async def answer(bench: Bench, given: ApprovalReply, offset: int) -> list[AuditRecord]:
    return audited(await bench.take(APPROVALS, given, offset))


async def test_the_second_person_lets_it_be_done() -> None:
    one = refund(TWO)
    world, bench = await held(TWO, one)
    agreed, asked = await answer(bench, reply(one, "ada", reason="fair"), 3)
    assert world.calls == []
    assert (agreed.status, agreed.reason) == (
        "needs_approval",
        "approve by ada (claimed): fair; 1 more person has to approve",
    )
    assert detail_as(ApprovalReplyDetail, agreed).verdict == "agree"
    shown = detail_as(ApprovalRequestDetail, asked)
    assert (shown.approvers, [other.person for other in shown.approved_by]) == (2, ["ada"])
    assert shown.payload_sha256 == payload_sha256(one)
    records = await answer(bench, reply(one, "bob"), 4)
    assert (world.handlers, records[0].reason) == (["pay"], "approve by bob (claimed) after ada (claimed)")
    late = await answer(bench, reply(one, "cid"), 5)
    assert (late[0].status, late[0].reason) == ("ignored", "it was answered before: approve")
    assert world.handlers == ["pay"]


@pytest.mark.parametrize("again", ["ada", "Ada", " ada ", "a\u200bda"])
async def test_one_person_does_not_count_twice_however_the_name_is_written(again: str) -> None:
    one = refund(TWO)
    world, bench = await held(TWO, one)
    await answer(bench, reply(one, "ada"), 3)
    [record] = await answer(bench, reply(one, again), 4)
    assert record.reason == f"four eyes: {again} has approved it already, and another person has to"
    [record] = await answer(bench, reply(one, again, "edit", parameters='{"amount": 50.0}'), 5)
    assert (record.status, world.calls) == ("ignored", [])


async def test_two_persons_at_once_are_enough_in_either_order() -> None:
    for first, second in (("ada", "bob"), ("bob", "ada")):
        one = refund(TWO)
        world, bench = await held(TWO, one)
        for offset, person in enumerate((first, second), start=3):  # both saw the same card
            await answer(bench, reply(one, person), offset)
        assert world.handlers == ["pay"]


async def test_a_redelivered_approval_says_the_same_and_counts_once() -> None:
    one = refund(TWO)
    world, bench = await held(TWO, one)
    first = words(await bench.take(APPROVALS, reply(one, "ada"), 3))
    assert words(await bench.take(APPROVALS, reply(one, "ada"), 3)) == first
    assert world.calls == []
    second = words(await bench.take(APPROVALS, reply(one, "bob"), 4))
    assert words(await bench.take(APPROVALS, reply(one, "bob"), 4)) == second
    assert words(await bench.take(APPROVALS, reply(one, "ada"), 3))[0] == first[0]
    assert world.handlers == ["pay"]


async def test_what_one_person_edits_another_has_to_approve() -> None:
    """The approval of the first text counts for nothing any more, and the second person saw what is executed."""
    one = refund(TWO)
    world, bench = await held(TWO, one)
    await answer(bench, reply(one, "ada"), 3)
    _, asked = await answer(bench, reply(one, "bob", "edit", parameters='{"amount": 20.0}'), 4)
    shown = detail_as(ApprovalRequestDetail, asked)
    assert (shown.parameters, [other.person for other in shown.approved_by]) == ('{"amount":20.0}', ["bob"])
    [old] = await answer(bench, reply(one, "cid"), 5)
    assert "payload_sha256 differs" in old.reason
    [twice] = await answer(bench, reply(one, "bob", payload_sha256=shown.payload_sha256), 6)
    assert (twice.status, world.calls) == ("ignored", [])
    records = await answer(bench, reply(one, "ada", payload_sha256=shown.payload_sha256), 7)
    assert (world.handlers, records[0].reason) == (["pay"], "edit by ada (claimed) after bob (claimed)")
    assert detail_as(ApprovalReplyDetail, records[0]).parameters == '{"amount":20.0}'
    assert world.paid == [{"amount": 20.0}]


async def test_anybody_may_reject() -> None:
    one = refund(TWO)
    world, bench = await held(TWO, one)
    await answer(bench, reply(one, "ada"), 3)
    records = await answer(bench, reply(one, "ada", "reject", reason="on second thoughts"), 4)
    assert (records[-1].status, records[0].reason) == ("refused", "reject by ada (claimed): on second thoughts")
    asker = refund(NOT_ASKER, opened_by="ada")
    world, bench = await held(NOT_ASKER, asker)
    records = await answer(bench, reply(asker, "ada", "reject"), 3)
    assert (records[-1].status, world.calls) == ("refused", [])


@pytest.mark.parametrize("opened_by", ["ada", ["eve", "ADA"]])
async def test_who_asked_for_it_may_not_approve_it(opened_by: str | list[str]) -> None:
    one = refund(NOT_ASKER, opened_by=opened_by)
    world, bench = await held(NOT_ASKER, one)
    for offset, verdict in enumerate(("approve", "edit"), start=3):
        parameters = '{"amount": 1.0}' if verdict == "edit" else None
        [record] = await answer(bench, reply(one, "ada", verdict, parameters=parameters), offset)
        assert record.reason == "four eyes: ada may not approve it, because this person asked for it (requested_by)"
    assert world.calls == []
    await answer(bench, reply(one, "bob"), 9)
    assert world.handlers == ["pay"]


@pytest.mark.parametrize(
    "data", [{}, {"opened_by": ""}, {"opened_by": 7}, {"opened_by": []}, {"opened_by": ["n"] * 9 + ["x" * 201]}]
)
async def test_where_nobody_knows_who_asked_nobody_may_approve(data: dict[str, Any]) -> None:
    one = refund(NOT_ASKER, **data)
    world, bench = await held(NOT_ASKER, one)
    [record] = await answer(bench, reply(one, "bob"), 3)
    assert record.reason.startswith("four eyes: nobody may approve it, because who asked for it is not known: ")
    assert world.calls == []


async def test_who_put_the_charter_in_force_may_not_approve_by_it() -> None:
    control = Control()
    version, content = NOT_PROMOTER.version, NOT_PROMOTER.charter.to_json()
    by = {"charter": "author", "promote": "promoter"}
    for kind, key in (("charter", f"desk/{version}"), ("promote", "desk/promoted")):
        text = {"charter": content} if kind == "charter" else {}
        control.apply(order(kind, "desk", key, charter_version=version, issued_by=by[kind], **text))
    one = refund(NOT_PROMOTER)
    world, bench = await held(NOT_PROMOTER, one, control)
    for offset, person in enumerate(by.values(), start=3):
        [record] = await answer(bench, reply(one, person), offset)
        assert record.reason.startswith(f"four eyes: {person} may not approve it, because this person put the charter")
    await answer(bench, reply(one, "ada"), 9)
    assert world.handlers == ["pay"]


async def test_a_charter_that_is_promoted_for_what_waits_makes_it_stricter() -> None:
    plain = compiled()
    control = in_force(plain)
    one = refund(plain)
    world, bench = await held(plain, one, control)
    stricter = order(
        "charter", "desk", f"desk/{TWO.version}", charter=TWO.charter.to_json(), charter_version=TWO.version
    )
    control.apply(stricter)
    promoted = {"charter_version": TWO.version, "applies_to": "waiting"}
    control.apply(order("promote", "desk", "desk/promoted", **promoted))
    records = await answer(bench, reply(one, "ada"), 3)
    assert ([record.status for record in records], world.calls) == (["needs_approval"] * 3, [])
    await answer(bench, reply(one, "bob"), 4)
    assert world.handlers == ["pay"]


async def test_approvals_survive_a_crash() -> None:
    one = refund(TWO)
    world, bench = await held(TWO, one)
    await answer(bench, reply(one, "ada"), 3)
    after = Bench(Act(in_force(TWO), world, Clock())).inherit(bench)
    await answer(after, reply(one, "bob"), 4)
    assert world.handlers == ["pay"]
