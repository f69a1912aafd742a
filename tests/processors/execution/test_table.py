"""The table takes only the events that can come; what it stored with a wrong clock is corrected."""

from datetime import datetime, timedelta
from typing import get_args

import pytest

from nightdesk.processors import playbook
from nightdesk.processors.charter import CompiledCharter
from nightdesk.processors.execution import (
    TRANSITIONS,
    Execution,
    ExecutionState,
    IllegalEvent,
    Outage,
    Phase,
    RateGrant,
    StepPolicy,
    advance,
    begin,
)
from nightdesk.processors.execution.commands import (
    Conclude,
    ConfirmOrders,
    Continue,
    Hold,
    MakeCall,
    RunPlaybook,
    Save,
    WaitForOrder,
    WaitForTimer,
)
from nightdesk.processors.execution.events import (
    ApprovalRead,
    CallEnded,
    DecisionRead,
    Event,
    GrantRead,
    Known,
    OrdersConfirmed,
    PlaybookEnded,
    Saved,
    SlotTaken,
    StepDue,
)
from nightdesk.processors.execution.leaving import Next
from nightdesk.processors.playbook import Progress, StepResult
from nightdesk.processors.playbook.absence import Moment
from nightdesk.processors.provenance import Forged, payload_sha256
from nightdesk.schemas.records import ControlCommand, Decision
from tests.processors.examples import NOW, case, compiled
from tests.streams.stages.world import decision

CHARTER = compiled()
RESPOND = decision(case(CHARTER), text="tomorrow")
REFUND = decision(case(CHARTER), "refund", amount=50.0)
NEW = ExecutionState(at=NOW)
RESPOND_STEPS = """\
  respond:
    - {do: send, with: {text: "{{ decision.parameters.text }}"}, undo: unsend, as: reply}
    - {do: note, with: {reply: "{{ steps.reply.id }}"}}
"""
LATER = NOW + timedelta(hours=1)


def test_every_event_has_its_place_and_nothing_follows_when_the_record_is_left() -> None:
    assert {event for _, event in TRANSITIONS} == set(get_args(Event))
    assert {phase for phase, _ in TRANSITIONS} == set(Phase) - {Phase.LEFT}


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize(
    "event", [Saved(), SlotTaken(), DecisionRead(), ApprovalRead("jo")], ids=lambda e: type(e).__name__
)
def test_an_event_that_cannot_come_now_is_a_mistake(phase: Phase, event: Event) -> None:
    execution = begin(RESPOND, CHARTER, NEW)._replace(phase=phase)
    if (phase, type(event)) not in TRANSITIONS:
        with pytest.raises(IllegalEvent, match=f"{phase} takes no {type(event).__name__}"):
            advance(execution, event, NOW)


def test_a_decision_that_needs_a_person_is_held_until_one_agrees() -> None:
    execution, command = advance(begin(REFUND, CHARTER, NEW), DecisionRead(), NOW)
    assert command == Hold("refund always needs approval")
    held = Known(held_sha256=payload_sha256(REFUND))
    assert advance(begin(REFUND, CHARTER, NEW), DecisionRead(held), NOW)[1] == Hold()
    execution, command = advance(begin(REFUND, CHARTER, NEW), ApprovalRead("jo"), NOW)
    assert (execution.phase, execution.state.approved_by, command) == (Phase.RUNNING, "jo", RunPlaybook())
    assert advance(begin(REFUND, CHARTER, execution.state), DecisionRead(held), NOW)[1] == RunPlaybook()


def test_a_decision_that_its_charter_would_not_make_is_refused() -> None:
    execution, command = advance(
        begin(decision(case(CHARTER), "refund", amount=500.0), CHARTER, NEW), DecisionRead(), NOW
    )
    assert isinstance(command, Conclude)
    assert (command.ending.status, execution.phase) == ("refused", Phase.LEFT)


@pytest.mark.parametrize("bound", ["", ", when_stale: drop"])
def test_what_became_stale_ends_the_same_when_it_is_delivered_again_a_day_later(bound: str) -> None:
    """One audit id must not stand for two texts, so the reason is as of its end."""
    charter = compiled(("mode: live", f"bounds: {{stale_after: 1h{bound}}}\nmode: live"))
    answer, at = decision(case(charter), text="tomorrow"), NOW + timedelta(hours=2)
    approved = NEW.model_copy(update={"approved_by": "jo", "approved_at": NOW})
    ended, first = advance(begin(answer, charter, approved), DecisionRead(), at)
    assert isinstance(first, Conclude)
    assert "bounds.stale_after: the case is" in first.ending.reason
    day_later = at + timedelta(days=1)
    again = begin(answer, charter, ended.state.as_of(day_later))
    assert advance(again, DecisionRead(), day_later)[1] == first


def test_what_has_ended_without_a_step_is_not_stale_when_it_is_delivered_again() -> None:
    """A person would be asked about what is completed."""
    charter = compiled((RESPOND_STEPS, ""))
    answer, late = decision(case(charter), text="tomorrow"), NOW + timedelta(days=30)
    held = Hold("bounds.stale_after: the case is 720 h old, and 48 h is the limit")
    assert advance(begin(answer, charter, NEW), DecisionRead(), late)[1] == held
    ended, first = _without_a_step(answer, charter, NEW, NOW)
    assert isinstance(first, Conclude)
    assert (first.ending.status, ended.state.is_begun) == ("completed", False)
    again, second = _without_a_step(answer, charter, ended.state.as_of(late), late)
    assert (again.state, second) == (ended.state, first)


def _without_a_step(answer: Decision, charter: CompiledCharter, state: ExecutionState, now: datetime) -> Next:
    execution, command = advance(begin(answer, charter, state), DecisionRead(), now)
    assert command == RunPlaybook()
    with pytest.raises(StopIteration) as stopped:
        next(playbook.run(answer, charter, Progress(state.outcomes, tuple(state.intents)), state.at))
    return advance(execution, PlaybookEnded(stopped.value.value), now)


def test_one_id_stands_for_one_payload() -> None:
    known = NEW.with_payload(payload_sha256(REFUND))
    other = REFUND.model_copy(update={"parameters": '{"amount":1.0}'})
    with pytest.raises(Forged, match="another payload"):
        advance(begin(other, CHARTER, known), DecisionRead(), NOW)


def test_moments_of_a_clock_that_was_ahead_count_as_of_now() -> None:
    ahead = ExecutionState(at=NOW, intents={"a": LATER, "b": None}, outage=Outage(since=LATER, waits=3))
    now = ahead.as_of(NOW)
    assert (now.intents, now.outage) == ({"a": NOW, "b": NOW}, Outage(since=NOW, waits=3))
    assert ahead.as_of(LATER).outage == ahead.outage


def test_a_grant_that_is_older_than_what_is_known_changes_nothing() -> None:
    used = NEW.with_grant("p", RateGrant(number=2, slot_at=NOW, used=True))
    for other in (RateGrant(number=1, slot_at=LATER), RateGrant(number=2, slot_at=LATER)):
        assert used.with_grant("p", other) is used
    assert used.with_grant("p", RateGrant(number=3, slot_at=LATER)).grants["p"].number == 3


@pytest.mark.parametrize("ahead", [timedelta(seconds=1), timedelta(days=3650)], ids=str)
def test_a_grant_of_a_slot_in_the_future_grows_old_from_now_on(ahead: timedelta) -> None:
    """It was granted by a clock that was ahead, or by somebody else than the limit's writer."""
    granted = GrantRead(Known(), "p", RateGrant(number=1, slot_at=NOW + ahead))
    execution, _ = advance(begin(RESPOND, CHARTER, NEW), granted, NOW)
    assert execution.state.grants["p"].slot_at == NOW


# -- one call, event by event

PAY = "pay: {type: http, connection: desk, path: /refunds"
ASKED = compiled(
    ("approval: always", "approval: never"),
    (PAY, f"{PAY}, idempotent: none, reconcile: '/refunds/{{idempotency_key}}', settles_within: 2m"),
)
PAYMENT = decision(case(ASKED), "refund", amount=50.0)
LOST = StepResult("unknown", error="no answer", retryable=True, answered=False)
ABSENT = StepResult("unknown", error="404", answered=True, absent=True)
BUSY = StepResult("failed", error="503", retryable=True, answered=True)
STOP = ControlCommand(key="*", kind="stop_all", agent="*", reason="night", issued_by="ops", time=NOW)


def pay(state: ExecutionState, now: datetime = NOW) -> Execution:
    """A decision's payment is next, and its orders are to be confirmed."""
    execution, command = advance(begin(PAYMENT, ASKED, state), DecisionRead(), now)
    assert command == RunPlaybook()
    step = next(playbook.run(PAYMENT, ASKED, Progress(state.outcomes, tuple(state.intents)), state.at))
    policy = StepPolicy(ASKED.charter.handlers["pay"], repeatable=False, retries=1)
    return advance(execution, StepDue(step, policy), now)[0]


def paying(state: ExecutionState, now: datetime = NOW) -> Execution:
    """The call is in flight."""
    execution, command = advance(pay(state, now), OrdersConfirmed(), now)
    if command == Save():
        execution, _ = advance(execution, Saved(), now)
        execution, command = advance(execution, OrdersConfirmed(), now)
    assert command == MakeCall()
    return execution


def at(now: datetime, process: str = "one") -> Moment:
    """A reading of a process's steady clock."""
    return Moment(process, now.timestamp())


def intents(execution: Execution) -> list[datetime | None]:
    return list(execution.state.intents.values())


def test_a_call_that_cannot_be_repeated_is_recorded_before_it_is_made() -> None:
    execution, command = advance(pay(NEW), OrdersConfirmed(), NOW)
    assert (command, intents(execution), execution.saved.intents) == (Save(), [NOW], {})
    execution, command = advance(execution, Saved(), NOW)
    assert (command, execution.saved) == (ConfirmOrders(), execution.state)
    assert advance(execution, OrdersConfirmed(), NOW)[1] == MakeCall()


def test_an_order_that_comes_while_the_intent_is_saved_takes_it_back() -> None:
    execution, _ = advance(pay(NEW), OrdersConfirmed(), NOW)
    execution, _ = advance(execution, Saved(), NOW)
    execution, command = advance(execution, OrdersConfirmed(STOP), NOW)
    assert (command, intents(execution)) == (WaitForOrder("stop_all by ops (claimed): night"), [])


def test_an_order_leaves_the_intent_of_a_process_that_is_gone() -> None:
    execution, command = advance(pay(paying(NEW).state), OrdersConfirmed(STOP), NOW)
    assert isinstance(command, WaitForOrder)
    assert intents(execution) == [NOW]


def test_what_was_recorded_too_long_ago_is_not_sent() -> None:
    execution, _ = advance(pay(NEW), OrdersConfirmed(), NOW)
    execution, _ = advance(execution, Saved(), NOW)
    execution, command = advance(execution, OrdersConfirmed(), NOW + timedelta(seconds=111))
    assert isinstance(command, WaitForTimer)
    assert (command.reason, intents(execution)) == ("recording the start of the call took too long", [])


def test_a_lost_answer_is_an_open_question_until_its_time_is_over() -> None:
    execution, command = advance(paying(NEW), CallEnded(LOST, at(NOW)), NOW)
    assert isinstance(command, WaitForTimer)
    assert intents(execution) == [NOW]
    asked_at = NOW + timedelta(seconds=300)
    execution, command = advance(paying(execution.state, asked_at), CallEnded(ABSENT, at(asked_at)), asked_at)
    assert command == WaitForTimer(120.0, "404; it may still come, for 120 s more")
    begun, asked_at = execution.state, asked_at + timedelta(seconds=119)
    execution, command = advance(paying(begun, asked_at), CallEnded(ABSENT, at(asked_at)), asked_at)
    assert command == WaitForTimer(1.0, "404; it may still come, for 1 s more")
    assert intents(execution) == [NOW]
    asked_at += timedelta(seconds=1)
    _, command = advance(paying(begun, asked_at), CallEnded(ABSENT, at(asked_at, "another")), asked_at)
    assert isinstance(command, WaitForTimer), "another process has not waited"
    execution, command = advance(paying(begun, asked_at), CallEnded(ABSENT, at(asked_at)), asked_at)
    assert isinstance(command, Continue)
    assert (command.outcome.status, intents(execution)) == ("failed", []), "its one retry is used up"


def test_what_may_have_happened_has_not_failed() -> None:
    begun = advance(paying(NEW), CallEnded(LOST, at(NOW)), NOW)[0].state.model_copy(update={"attempts": {}})
    execution, command = advance(
        paying(begun), CallEnded(StepResult("failed", error="400", answered=True), at(NOW)), NOW
    )
    assert isinstance(command, Continue)
    assert (command.outcome.status, intents(execution)) == ("unknown", [NOW])


def test_a_call_is_made_again_as_often_as_its_charter_says() -> None:
    execution, command = advance(paying(NEW), CallEnded(BUSY, at(NOW)), NOW)
    assert isinstance(command, WaitForTimer)
    assert intents(execution) == []
    execution, command = advance(paying(execution.state), CallEnded(BUSY, at(NOW)), NOW)
    assert isinstance(command, Continue)
    assert (command.outcome.status, command.outcome.attempts) == ("failed", 2)


def test_a_system_that_is_away_costs_no_attempt_and_is_waited_for_as_long_as_the_charter_says() -> None:
    execution, command = advance(pay(NEW), OrdersConfirmed(shut_for_s=15.0), NOW)
    assert isinstance(command, WaitForTimer)
    assert command.after_s > 15.0
    assert (execution.state.outage, execution.state.attempts) == (Outage(since=NOW, waits=1), {})
    day_s = ASKED.charter.handlers["pay"].call_rules.give_up_after_s or 0
    assert pay(execution.state, NOW + timedelta(seconds=day_s - 1)).phase is Phase.PREPARING
    given_up = pay(execution.state, NOW + timedelta(seconds=day_s))
    assert (given_up.phase, given_up.state.outcomes[0].status) == (Phase.RUNNING, "failed")
    assert given_up.state.outcomes[0].started_at == NOW, "no call began when it was given up"
