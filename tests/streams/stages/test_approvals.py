"""A decision that needs a person waits. The first answer to what was really shown counts, and no other."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import DataObject, booleans, data, integers, sampled_from

from nightdesk.processors import prompts
from nightdesk.processors.charter import CompiledCharter
from nightdesk.processors.charter.actions import APPROVAL_EXPIRES_S
from nightdesk.processors.deciding import decide
from nightdesk.processors.provenance import payload_sha256
from nightdesk.processors.scopes import case_scope
from nightdesk.schemas import ids
from nightdesk.schemas.approval_details import ApprovalReminderDetail, ApprovalRequestDetail
from nightdesk.schemas.records import (
    ApprovalReply,
    AuditRecord,
    BudgetEntry,
    Case,
    Decision,
    SubjectEvent,
    Timer,
)
from nightdesk.schemas.topics import ACT, APPROVALS, BUDGET, DECIDE, SUBJECT_EVENTS, TIMERS
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.control import Control
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.approval_checks import EXPIRY
from tests.effort import examples
from tests.processors.examples import NOW, case, compiled, event
from tests.schemas.details import detail_as
from tests.streams.stages.stage_harness import CODEC, Bench, Clock, audited, in_force, said, words
from tests.streams.stages.world import AWAY, World, decision

CHARTER = compiled()
REFUND = decision(case(CHARTER), "refund", amount=50.0)


NO_REMINDERS = compiled(("approval: always", "approval: always\n    approval_reminders: []"))
QUIET = decision(case(NO_REMINDERS), "refund", amount=50.0)
APPROVAL_EXPIRES = timedelta(seconds=APPROVAL_EXPIRES_S)


def _another(number: int, charter: CompiledCharter = CHARTER) -> Decision:
    """A refund for another event of the same ticket."""
    about = event().model_copy(update={"id": f"e-{number}"})
    return decision(case(charter, about), "refund", amount=50.0)


def _bench(world: World, clock: Clock | None = None, charter: CompiledCharter = CHARTER) -> Bench:
    return Bench(Act(_control(charter), world, clock or Clock()))


_CONTROLS: dict[str, Control] = {}


def _control(charter: CompiledCharter) -> Control:
    """One for each charter, because compiling takes long, and nothing here gives an order."""
    if charter.version not in _CONTROLS:
        _CONTROLS[charter.version] = in_force(CHARTER, charter)
    return _CONTROLS[charter.version]


def _reply(verdict: str = "approve", **fields: Any) -> ApprovalReply:
    given = {"decision_id": REFUND.decision_id, "subject": "t-1", "verdict": verdict, "person": "ada", "time": NOW}
    return ApprovalReply.model_validate({**given, "payload_sha256": payload_sha256(REFUND), **fields})


def _expiry() -> ApprovalReply:
    return _reply("expire", person=EXPIRY, reason="expired", time=NOW + APPROVAL_EXPIRES)


async def _held(world: World, clock: Clock | None = None) -> Bench:
    bench = _bench(world, clock)
    await bench.take(ACT, REFUND)
    return bench


def _due(writes: StagedWrites) -> list[ApprovalReply]:
    """What a tick emits about decisions that are due."""
    return said(writes, APPROVALS, ApprovalReply)


async def _ended(bench: Bench, offset: int = 9) -> StagedWrites:
    """What comes of the expiry that a tick emits."""
    [expiry] = _due(bench.tick())
    assert (expiry.verdict, expiry.person) == ("expire", EXPIRY)
    return await bench.take(APPROVALS, expiry, offset)


def _kinds(records: list[AuditRecord]) -> list[tuple[str, str]]:
    return [(record.kind, record.status) for record in records]


async def test_a_decision_that_needs_a_person_is_shown_and_not_done() -> None:
    world = World()
    writes = await _bench(world).take(ACT, REFUND)
    [record] = audited(writes)
    assert (record.kind, record.status) == ("approval", "needs_approval")
    assert payload_sha256(REFUND) in record.detail
    assert world.calls == []


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
    [reminder] = said(await bench.take(APPROVALS, _reply(), 3), TIMERS, Timer)
    again = CODEC.decode(Decision, reminder.value)
    assert again == asks
    [acted] = audited(await bench.take(ACT, again, 4))
    assert (acted.status, acted.disposition) == ("completed", "execute")


async def test_a_person_may_change_the_parameters() -> None:
    world = World()
    bench = await _held(world)
    writes = await bench.take(APPROVALS, _reply("edit", parameters='{"amount": 20.0}'), 3)
    assert [record.status for record in audited(writes)] == ["running", "completed"]
    assert world.handlers == ["pay"]


async def test_a_person_may_not_change_them_to_what_the_rules_forbid() -> None:
    world = World()
    bench = await _held(world)
    writes = await bench.take(APPROVALS, _reply("edit", parameters='{"amount": 2000.0}'), 3)
    assert [record.status for record in audited(writes)] == ["running", "refused"]
    assert world.calls == []


@pytest.mark.parametrize(
    "parameters", ['{"amount": 100000000000000000000000000001}', "{", "[]", '{"amount": 1, "amount": 2}']
)
async def test_an_edit_that_would_be_another_number_on_the_way_counts_for_nothing(parameters: str) -> None:
    world = World()
    bench = await _held(world)
    [void] = audited(await bench.take(APPROVALS, _reply("edit", parameters=parameters), 3))
    assert (void.status, world.calls) == ("ignored", [])
    assert "the edit" in void.reason
    assert [record.status for record in audited(await bench.take(APPROVALS, _reply(), 4))] == ["running", "completed"]


@pytest.mark.parametrize("verdict", ["approve", "reject", "edit"])
async def test_an_answer_to_something_else_changes_nothing(verdict: str) -> None:
    world = World()
    bench = await _held(world)
    before = dict(bench.tables["approvals"].items(1))
    [record] = audited(await bench.take(APPROVALS, _reply(verdict, payload_sha256="0" * 64), 3))
    assert (record.status, record.case_id) == ("ignored", None)
    assert "payload_sha256 differs" in record.reason
    assert dict(bench.tables["approvals"].items(1)) == before
    assert world.calls == []


@pytest.mark.parametrize(
    "wrong", [{"payload_sha256": "0" * 64}, {"person": EXPIRY}, {"person": " "}, {"parameters": "{}"}], ids=str
)
async def test_an_answer_that_never_counts_has_one_reason_before_and_after_the_one_that_does(
    wrong: dict[str, str],
) -> None:
    """It is redelivered after a crash, and both audit records have the same id."""
    bench = await _held(World())
    [first] = audited(await bench.take(APPROVALS, _reply(**wrong), 3))
    await bench.take(APPROVALS, _reply(), 4)
    [again] = audited(await bench.take(APPROVALS, _reply(**wrong), 3))
    assert (again.record_id, again.reason) == (first.record_id, first.reason)


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
    writes = await bench.take(APPROVALS, _reply("reject", reason="too much"), 3)
    ended = audited(writes)[-1]
    assert (ended.status, ended.reason) == ("refused", "rejected by ada (claimed): too much")
    assert words(await bench.take(APPROVALS, _reply("reject", reason="too much"), 3)) == words(writes)


@pytest.mark.parametrize("verdict", ["approve", "edit", "reject"])
@pytest.mark.parametrize("person", ["ada", EXPIRY])
async def test_an_answer_after_the_expiry_counts_for_nothing_though_nothing_has_ended_it(
    verdict: str, person: str
) -> None:
    world, clock = World(), Clock()
    bench = await _held(world, clock)
    clock.forward(APPROVAL_EXPIRES_S)
    late = _reply(verdict, person=person, parameters='{"amount": 20.0}' if verdict == "edit" else None)
    writes = await bench.take(APPROVALS, late, 3)
    void, expired, ended = audited(writes)
    assert (void.status, void.case_id) == ("ignored", None)
    assert "it came after" in void.reason
    assert (expired.kind, expired.reason, ended.status) == ("approval", f"expire by {EXPIRY}: expired", "running")
    assert len({void.record_id, expired.record_id, ended.record_id}) == 3
    assert words(await bench.take(APPROVALS, late, 3)) == words(writes), "the same record again"
    [void] = audited(await bench.take(APPROVALS, _reply(person="bob"), 4))
    assert void.reason == "it was answered before: expire"
    assert world.calls == []


async def test_an_answer_at_the_last_moment_counts_also_if_it_is_read_again_later() -> None:
    world, clock = World(), Clock()
    bench = await _held(world, clock)
    clock.forward(APPROVAL_EXPIRES_S - 1)
    assert [record.status for record in audited(await bench.take(APPROVALS, _reply(), 3))] == ["running", "completed"]
    clock.forward(3600)
    assert [record.status for record in audited(await bench.take(APPROVALS, _reply(), 3))] == ["running", "completed"]
    assert world.handlers == ["pay"]


async def test_the_answer_names_the_decisions_own_subject() -> None:
    world = World()
    bench = await _held(world)
    [void] = audited(await bench.take(APPROVALS, _reply(subject="t-2"), 3))
    assert "another subject" in void.reason
    assert world.calls == []


@pytest.mark.parametrize("dies", [False, True])
async def test_what_nobody_answers_escalates_when_its_time_is_over_and_not_before(dies: bool) -> None:
    clock = Clock()
    bench = _bench(World(), clock, NO_REMINDERS)
    await bench.take(ACT, QUIET)
    clock.forward(APPROVAL_EXPIRES_S - 1)
    assert bench.tick().messages == []
    clock.forward(1)
    if dies:  # it was emitted, and the process does not know it
        first = _due(bench.tick(dies=True))
        bench = _bench(World(), clock, NO_REMINDERS).inherit(bench)
        assert _due(bench.tick()) == first
        bench = _bench(World(), clock, NO_REMINDERS).inherit(bench)
    writes = await _ended(bench)
    expired, acted = audited(writes)
    assert (expired.kind, expired.status, acted.kind, acted.status) == ("approval", "running", "acted", "running")
    [following] = said(writes, DECIDE, Case)
    assert (following.step, following.case_id) == (1, REFUND.case.case_id)
    assert following.escalate_because == (
        f'nobody answered whether to refund {{"amount":50.0}} before {NOW + APPROVAL_EXPIRES:%Y-%m-%d %H:%M} UTC'
    )
    assert words(await bench.take(APPROVALS, _expiry(), 9)) == words(writes), "the same record again"
    assert bench.tick().messages == []
    [void] = audited(await bench.take(APPROVALS, _expiry(), 10))
    assert void.reason == "it was answered before: expire"


async def test_the_escalation_of_what_nobody_answered_reaches_a_person() -> None:
    world, clock = World(), Clock()
    bench = _bench(world, clock, NO_REMINDERS)
    await bench.take(ACT, QUIET)
    clock.forward(APPROVAL_EXPIRES_S)
    [following] = said(await _ended(bench), DECIDE, Case)
    flow = decide(following, NO_REMINDERS, clock())
    with pytest.raises(StopIteration) as decided:
        next(flow)
    [acted] = audited(await bench.take(ACT, decided.value.value, 10))
    assert (acted.action, acted.status, acted.step) == ("escalate", "escalated", 1)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ((("approval: always", "approval: always\n    on_expiry: refuse"),), "refused"),
        ((("approval: always", "approval: always\n    on_expiry: escalate"),), "running"),
        ((("kind: escalate", "kind: respond"),), "failed"),
    ],
    ids=["refuse", "escalate", "no way to a person"],
)
async def test_the_charter_says_what_the_end_of_an_approval_does(
    changes: tuple[tuple[str, str], ...], status: str
) -> None:
    charter, clock = compiled(*changes), Clock()
    bench = _bench(World(), clock, charter)
    await bench.take(ACT, decision(case(charter), "refund", amount=50.0))
    clock.forward(APPROVAL_EXPIRES_S)
    assert audited(await _ended(bench))[-1].status == status


async def test_where_nobody_is_left_the_decision_is_a_dead_letter_and_its_replay_asks_again() -> None:
    charter, clock, world = compiled(("kind: escalate", "kind: respond")), Clock(), World()
    bench = _bench(world, clock, charter)
    refund = decision(case(charter), "refund", amount=50.0)
    await bench.take(ACT, refund)
    for replays in range(2):
        clock.forward(APPROVAL_EXPIRES_S)
        letter_id = ids.decision_letter_id(refund.decision_id, replays)
        writes = await _ended(bench, 10 + replays)
        expired, _, dead = audited(writes)
        assert (dead.kind, dead.record_id) == ("dead_letter", ids.record_id("dead_letter", letter_id))
        assert len([message for message in writes.messages if message.topic == "t.act.dlq"]) == 1
        bench = _bench(world, clock, charter).inherit(bench)
        again = await bench.take(ACT, refund, 20 + replays, replay_of=letter_id)
        [asked] = audited(again)
        assert (asked.status, asked.record_id != expired.record_id) == ("needs_approval", True)
        assert words(await bench.take(ACT, refund, 20 + replays, replay_of=letter_id)) == words(again)
    answer = _reply(payload_sha256=payload_sha256(refund))
    assert audited(await bench.take(APPROVALS, answer, 30))[-1].status == "completed"
    assert world.handlers == ["pay"]


async def test_an_action_has_its_own_time() -> None:
    charter, clock = compiled(("approval: always", "approval: always\n    approval_expires: 30m")), Clock()
    bench = _bench(World(), clock, charter)
    [asked] = audited(await bench.take(ACT, decision(case(charter), "refund", amount=50.0)))
    assert detail_as(ApprovalRequestDetail, asked).expires_at == NOW + timedelta(minutes=30)
    clock.forward(1800)
    assert _kinds(audited(await _ended(bench))) == [("approval", "running"), ("acted", "running")]


@pytest.mark.parametrize("early_s", [1, 1800, 3600, 71 * 3600])
async def test_an_expiry_before_its_time_by_our_own_clock_ends_nothing(early_s: int) -> None:
    """Another worker's clock was ahead, or a client wrote to the topic."""
    world, clock = World(), Clock()
    bench = _bench(world, clock, NO_REMINDERS)
    await bench.take(ACT, QUIET)
    clock.forward(APPROVAL_EXPIRES_S - early_s)
    for offset in (3, 4):
        assert (await bench.take(APPROVALS, _expiry(), offset)).messages == []
    clock.forward(early_s - 1)
    assert bench.tick().messages == []
    answer = _reply(payload_sha256=payload_sha256(QUIET))
    assert [record.status for record in audited(await bench.take(APPROVALS, answer, 5))] == ["running", "completed"]


async def test_after_an_early_expiry_the_decision_still_ends_at_its_time() -> None:
    clock = Clock()
    bench = _bench(World(), clock, NO_REMINDERS)
    await bench.take(ACT, QUIET)
    for offset in (3, 4):
        await bench.take(APPROVALS, _expiry(), offset)
    clock.forward(APPROVAL_EXPIRES_S)
    assert _kinds(audited(await _ended(bench))) == [("approval", "running"), ("acted", "running")]
    assert bench.tick().messages == []


# -- reminders


@pytest.mark.parametrize("restarts", [False, True])
async def test_approvers_are_reminded_once_for_each_share_of_the_time(restarts: bool) -> None:
    clock = Clock()
    bench = await _held(World(), clock)
    found = list[tuple[int, AuditRecord]]()
    for hour in range(1, 72):
        clock.forward(3600)
        if restarts:
            bench = _bench(World(), clock).inherit(bench)
        for due in _due(bench.tick()):
            writes = await bench.take(APPROVALS, due, hour)
            assert words(await bench.take(APPROVALS, due, hour)) == words(writes), "the same record again"
            found.extend((hour, record) for record in audited(writes))
    assert [(hour, record.status) for hour, record in found] == [(36, "needs_approval"), (65, "needs_approval")]
    assert len({record.record_id for _, record in found}) == 2
    assert found[0][1].reason == "reminder 1: nobody has answered, and it expires at 2026-11-23 12:00 UTC"


async def test_reminders_that_are_due_together_are_one() -> None:
    clock = Clock()
    bench = await _held(World(), clock)
    clock.forward(APPROVAL_EXPIRES_S - 60)
    [due] = _due(bench.tick())
    [reminder] = audited(await bench.take(APPROVALS, due, 3))
    assert detail_as(ApprovalReminderDetail, reminder).number == 1
    assert bench.tick().messages == []


async def test_at_the_very_moment_a_reminder_and_an_expiry_are_due() -> None:
    clock = Clock()
    bench = await _held(World(), clock)
    clock.forward(APPROVAL_EXPIRES_S / 2)
    early = _reply("expire", person=EXPIRY, reason="expired")
    [reminder] = audited(await bench.take(APPROVALS, early, 3))
    assert detail_as(ApprovalReminderDetail, reminder).number == 1
    clock.forward(APPROVAL_EXPIRES_S / 2 - 0.000_001)
    assert "expired" not in {record.reason for record in audited(await bench.take(APPROVALS, early, 4))}
    clock.forward(0.000_001)
    assert "expire by" in audited(await bench.take(APPROVALS, early, 5))[0].reason


async def test_nobody_is_reminded_of_what_was_answered() -> None:
    clock = Clock()
    bench = await _held(World(), clock)
    await bench.take(APPROVALS, _reply(), 3)
    clock.forward(APPROVAL_EXPIRES_S)
    assert bench.tick().messages == []


# -- other decisions about the subject


async def test_of_two_refunds_of_a_ticket_the_second_is_paid_only_by_who_has_seen_the_first() -> None:
    world = World()
    bench = await _held(world)
    second = _another(2)
    [asked] = audited(await bench.take(ACT, second, 1))
    shown = detail_as(ApprovalRequestDetail, asked)
    assert [(other.decision_id, other.approved_at) for other in shown.others] == [(REFUND.decision_id, None)]
    first = await bench.take(APPROVALS, _reply(), 2)
    again = next(record for record in audited(first) if record.decision_id == second.decision_id)
    shown_anew = detail_as(ApprovalRequestDetail, again)
    assert (again.status, again.record_id != asked.record_id) == ("needs_approval", True)
    assert [(other.decision_id, other.approved_at) for other in shown_anew.others] == [(REFUND.decision_id, NOW)]
    assert words(await bench.take(APPROVALS, _reply(), 2)) == words(first), "the same answer again"

    unaware = _reply(decision_id=second.decision_id, payload_sha256=shown.payload_sha256)
    [void] = audited(await bench.take(APPROVALS, unaware, 3))
    assert (void.status, "payload_sha256 differs" in void.reason) == ("ignored", True)
    assert world.handlers == ["pay"]
    aware = _reply(decision_id=second.decision_id, payload_sha256=shown_anew.payload_sha256)
    assert _kinds(audited(await bench.take(APPROVALS, aware, 4))) == [("approval", "running"), ("acted", "completed")]
    assert world.handlers == ["pay", "pay"]


async def test_the_second_answered_first_is_shown_to_whoever_answers_the_first() -> None:
    world = World()
    bench = await _held(world)
    second = _another(2)
    await bench.take(ACT, second, 1)
    await bench.take(APPROVALS, _reply(decision_id=second.decision_id, payload_sha256=payload_sha256(second)), 2)
    [void] = audited(await bench.take(APPROVALS, _reply(), 3))
    assert (void.status, world.handlers) == ("ignored", ["pay"])


async def test_a_refund_that_needs_no_approval_waits_while_another_of_the_ticket_does() -> None:
    charter, world = compiled(("approval: always", "approval: below_threshold")), World()
    bench = _bench(world, charter=charter)
    unsure = decision(case(charter), "refund", amount=50.0).model_copy(update={"confidence": 0.6})
    sure = decision(case(charter, event().model_copy(update={"id": "e-2"})), "refund", amount=50.0)
    await bench.take(ACT, unsure)
    [asked] = audited(await bench.take(ACT, sure, 1))
    assert (asked.status, asked.reason) == (
        "needs_approval",
        f"another refund of t-1 waits for a person: {unsure.decision_id}",
    )
    assert world.handlers == []
    again = await bench.take(ACT, sure, 2)
    assert audited(again) == [asked.model_copy(update={"time": audited(again)[0].time})], "and not when it comes again"


@pytest.mark.parametrize("verdict", ["reject", "expire"])
async def test_what_was_not_approved_keeps_nobody_from_the_next(verdict: str) -> None:
    world, clock = World(), Clock()
    bench = await _held(world, clock)
    await bench.take(ACT, _another(2), 1)
    if verdict == "expire":
        clock.forward(APPROVAL_EXPIRES_S - 1)
        await bench.take(ACT, _another(3), 2)
        clock.forward(1)
        for offset, due in enumerate(_due(bench.tick()), 3):
            await bench.take(APPROVALS, due, offset)
        last = _another(3)
    else:
        await bench.take(APPROVALS, _reply("reject"), 3)
        last = _another(2)
    reply = _reply(decision_id=last.decision_id, payload_sha256=payload_sha256(last))
    assert audited(await bench.take(APPROVALS, reply, 9))[-1].status == "completed"


async def test_where_the_charter_says_so_each_case_is_approved_by_itself() -> None:
    charter, world = compiled(("approval: always", "approval: always\n    one_open_per: case")), World()
    bench = _bench(world, charter=charter)
    for number in (1, 2):
        await bench.take(ACT, _another(number, charter), number)
    for number in (1, 2):
        one = _another(number, charter)
        reply = _reply(decision_id=one.decision_id, payload_sha256=payload_sha256(one))
        assert audited(await bench.take(APPROVALS, reply, 9 + number))[-1].status == "completed"
    assert world.handlers == ["pay", "pay"]


async def test_other_subjects_and_other_actions_change_nothing() -> None:
    world = World()
    bench = await _held(world)
    await bench.take(ACT, decision(case(CHARTER, event().model_copy(update={"id": "e-2"})), text="tomorrow"), 1)
    elsewhere = case(CHARTER, event().model_copy(update={"id": "e-3", "subject": "t-2"}))
    await bench.take(ACT, decision(elsewhere, "refund", amount=1.0), 2)
    [void, *_] = audited(await bench.take(APPROVALS, _reply(), 3))
    assert void.status == "running"


# -- a newer event takes a decision back

RECONSIDERED = compiled(
    (
        "approval: always",
        """approval: always
    reconsider_on: [{type: ticket.created, when: 'event.data.text.mentions(["cancel"])'}]""",
    )
)
ASKED = decision(case(RECONSIDERED), "refund", amount=50.0)


def _came(text: str = "please cancel my refund", after_s: float = 60.0, **fields: Any) -> SubjectEvent:
    newer = event(text).model_copy(update={"id": "e-2", **fields})
    return SubjectEvent(event=newer, received_at=NOW + timedelta(seconds=after_s))


async def test_a_newer_event_takes_a_decision_back_and_the_case_is_decided_again_knowing_it() -> None:
    world, clock = World(), Clock()
    bench = _bench(world, clock, RECONSIDERED)
    await bench.take(ACT, ASKED)
    clock.forward(36_000)
    writes = await bench.take(SUBJECT_EVENTS, _came(), 3)
    taken_back, acted = audited(writes)
    assert (taken_back.kind, taken_back.status, acted.status) == ("approval", "running", "running")
    assert taken_back.reason == "taken back, because ticket.created e-2 came: the case is decided again"
    [entry] = said(writes, BUDGET, BudgetEntry)
    assert entry.case is not None
    [past] = entry.case.history
    assert (entry.case.step, past.action, past.interrupted_by) == (1, "refund", _came().event)
    assert "please cancel my refund" in prompts.build(RECONSIDERED, entry.case).prompt
    assert case_scope(entry.case).values["case"]["history"][0]["interrupted_by"]["id"] == "e-2"
    bench = _bench(world, clock, RECONSIDERED).inherit(bench)
    assert words(await bench.take(SUBJECT_EVENTS, _came(), 3)) == words(writes), "the same record again"
    answer = _reply(payload_sha256=payload_sha256(ASKED))
    [void] = audited(await bench.take(APPROVALS, answer, 4))
    assert (void.reason, world.calls) == ("it was answered before: reconsider", [])
    clock.forward(APPROVAL_EXPIRES_S)
    assert bench.tick().messages == []
    following = decision(entry.case, "escalate", "escalate", reason="the customer changed their mind")
    assert audited(await bench.take(ACT, following, 5))[-1].status == "escalated"


async def test_an_event_that_came_while_the_case_was_being_decided_counts_too_and_nobody_is_asked() -> None:
    bench = _bench(World(), charter=RECONSIDERED)
    assert (await bench.take(SUBJECT_EVENTS, _came(), 1)).messages == []
    bench = _bench(World(), charter=RECONSIDERED).inherit(bench)
    writes = await bench.take(ACT, ASKED, 2)
    taken_back, acted = audited(writes)
    assert (taken_back.kind, taken_back.status, acted.status) == ("approval", "running", "running")
    assert taken_back.reason == "taken back, because ticket.created e-2 came: the case is decided again"
    [entry] = said(writes, BUDGET, BudgetEntry)
    assert entry.case is not None
    assert [past.interrupted_by for past in entry.case.history] == [_came().event]
    await bench.take(SUBJECT_EVENTS, _came(id="e-3"), 3)
    assert words(await bench.take(ACT, ASKED, 2)) == words(writes), "the same record again, whatever came since"
    [void] = audited(await bench.take(APPROVALS, _reply(payload_sha256=payload_sha256(ASKED)), 4))
    assert void.reason == "it was answered before: reconsider"


async def test_each_event_that_came_meanwhile_takes_the_decision_back_though_the_case_begins_again_later() -> None:
    clock = Clock()
    bench = _bench(World(), clock, RECONSIDERED)
    for number in (2, 3):
        await bench.take(SUBJECT_EVENTS, _came(after_s=number, id=f"e-{number}"), number)
    clock.forward(3_600)
    decided = ASKED
    for number in (2, 3):
        writes = await bench.take(ACT, decided, 10 + number)
        assert f"ticket.created e-{number} came" in audited(writes)[0].reason
        [entry] = said(writes, BUDGET, BudgetEntry)
        assert entry.case is not None
        decided = decision(entry.case, "refund", amount=50.0)
    assert [past.interrupted_by and past.interrupted_by.id for past in decided.case.history] == ["e-2", "e-3"]
    [asked] = audited(await bench.take(ACT, decided, 20))
    assert asked.status == "needs_approval"


async def test_of_large_data_the_model_sees_the_beginning() -> None:
    charter = compiled(("approval: always", "approval: always\n    reconsider_on: [{type: ticket.created}]"))
    bench = _bench(World(), charter=charter)
    await bench.take(SUBJECT_EVENTS, _came("please cancel " + "x" * 100_000), 1)
    writes = await bench.take(ACT, decision(case(charter), "refund", amount=50.0), 2)
    [entry] = said(writes, BUDGET, BudgetEntry)
    assert entry.case is not None
    [past] = entry.case.history
    assert past.interrupted_by is not None
    assert "please cancel" in past.interrupted_by.data
    assert len(past.interrupted_by.data) < 20_000


async def test_an_event_that_the_case_knows_takes_its_next_step_back_no_more() -> None:
    bench = _bench(World(), charter=RECONSIDERED)
    await bench.take(SUBJECT_EVENTS, _came(), 1)
    [entry] = said(await bench.take(ACT, ASKED, 2), BUDGET, BudgetEntry)
    assert entry.case is not None
    again = decision(entry.case, "refund", amount=50.0)
    [asked] = audited(await bench.take(ACT, again, 3))
    assert asked.status == "needs_approval"
    assert (await bench.take(SUBJECT_EVENTS, _came(), 1)).messages == [], "the event's record again"
    [taken_back, _] = audited(await bench.take(SUBJECT_EVENTS, _came(id="e-3"), 4))
    assert "ticket.created e-3 came" in taken_back.reason


@pytest.mark.parametrize(
    "came",
    [_came("thanks"), _came(after_s=0.0), _came(id="e-1"), _came(subject="t-2"), _came(type="ticket.closed")],
    ids=["when", "before the case", "its own", "subject", "type"],
)
async def test_another_event_takes_nothing_back(came: SubjectEvent) -> None:
    bench = _bench(World(), charter=RECONSIDERED)
    assert (await bench.take(SUBJECT_EVENTS, came, 1)).messages == []
    [asked] = audited(await bench.take(ACT, ASKED, 2))
    assert (await bench.take(SUBJECT_EVENTS, came, 3)).messages == []
    assert asked.status == "needs_approval"
    answer = _reply(payload_sha256=payload_sha256(ASKED))
    assert audited(await bench.take(APPROVALS, answer, 4))[-1].status == "completed"


async def test_a_case_that_is_taken_back_again_and_again_reaches_a_person() -> None:
    bench, asked = _bench(World(), charter=RECONSIDERED), ASKED
    for step in range(RECONSIDERED.charter.bounds.actions):
        await bench.take(ACT, asked, 2 * step)
        writes = await bench.take(SUBJECT_EVENTS, _came(id=f"again-{step}"), 2 * step + 1)
        for entry in said(writes, BUDGET, BudgetEntry):
            asked = decision(entry.case or asked.case, "refund", amount=50.0)
    [following] = said(writes, DECIDE, Case)
    assert "bounds.actions" in following.escalate_because


@settings(max_examples=examples(60))
@given(data())
def test_no_order_of_answers_pays_twice_without_the_first_in_view(draw: DataObject) -> None:
    asyncio.run(_in_any_order(draw))


async def _in_any_order(draw: DataObject) -> None:
    """Persons answer what they saw at some time, processes die, records come again."""
    world, shown, paid = World(), dict[str, ApprovalRequestDetail](), list[set[str]]()
    bench, offset = _bench(world), 0
    seen: list[tuple[str, ApprovalRequestDetail]] = []
    for _ in range(draw.draw(integers(2, 12))):
        offset += 1
        move = draw.draw(sampled_from(["decision", "answer", "restart"]))
        if move == "restart":
            bench = _bench(world).inherit(bench)
            continue
        record: Any = _another(draw.draw(integers(1, 4)))
        topic, before = ACT, len(world.calls)
        if move == "answer" and seen:
            decision_id, card = draw.draw(sampled_from(seen))
            verdict = draw.draw(sampled_from(["approve", "approve", "reject"]))
            topic = APPROVALS
            record = _reply(verdict, decision_id=decision_id, payload_sha256=card.payload_sha256)
            shown[decision_id] = card
        writes = await bench.take(topic, record, offset)
        if draw.draw(booleans()):
            writes = await bench.take(topic, record, offset)
        seen += [
            (str(line.decision_id), detail_as(ApprovalRequestDetail, line))
            for line in audited(writes)
            if line.status == "needs_approval"
        ]
        if len(world.calls) > before:
            card = shown[record.decision_id]
            in_view = {other.decision_id for other in card.others if other.approved_at is not None}
            assert set().union(*paid) <= in_view
            paid.append({record.decision_id})


@pytest.mark.parametrize("verdict", ["approve", "edit", "reject"])
@pytest.mark.parametrize("person", [EXPIRY, "nightdesk: anything", " Nightdesk: x"])
async def test_no_person_has_a_name_of_the_system(verdict: str, person: str) -> None:
    world = World()
    bench = await _held(world)
    given = _reply(verdict, person=person, parameters='{"amount": 20.0}' if verdict == "edit" else None)
    [void] = audited(await bench.take(APPROVALS, given, 3))
    assert (void.status, void.reason, world.calls) == ("ignored", "no person's name begins with 'nightdesk:'", [])


@pytest.mark.parametrize("verdict", ["approve", "reject"])
async def test_an_answer_is_kept_for_thirty_days_and_not_for_ever(verdict: str) -> None:
    clock = Clock()
    bench = await _held(World(), clock)
    await bench.take(APPROVALS, _reply(verdict), 3)
    clock.forward(30 * 86_400 - 1)
    assert bench.tick().messages == []
    [void] = audited(await bench.take(APPROVALS, _reply(person="bob"), 4))
    assert "answered before" in void.reason
    clock.forward(1)
    assert bench.tick().messages == []
    assert len(bench.tables["approvals"]) == 0


async def test_the_decision_again_after_the_answer_does_not_ask_again_or_pay_again() -> None:
    world = World()
    bench = await _held(world)
    await bench.take(APPROVALS, _reply(), 3)
    writes = await bench.take(ACT, REFUND)
    assert [record.status for record in audited(writes)] == ["completed"]
    assert world.handlers == ["pay"]


async def test_what_is_shown_is_bound_to_the_decision_the_action_and_its_parameters() -> None:
    others = [
        decision(case(CHARTER, step=1), "refund", amount=50.0),
        decision(case(CHARTER), "respond", amount=50.0),
        decision(case(CHARTER), "refund", amount=50.5),
    ]
    assert len({payload_sha256(shown) for shown in (REFUND, *others)}) == 4
