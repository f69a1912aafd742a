"""Computes what follows a playbook: the end of the case, its next step, or a timer.

The bounds of a case are checked here: a case that has used them up goes to a person.
"""

from datetime import datetime, timedelta

import orjson

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.ledger.entries import reservation
from nightdesk.processors.playbook import failure
from nightdesk.processors.playbook.follow_ups import TimerInvalid, follow_ups, seconds_of
from nightdesk.processors.playbook.playbook_run import PlaybookRun, bounded
from nightdesk.processors.playbook.staleness import stale_because
from nightdesk.processors.playbook.types import Ending, Progress, TimerRequest
from nightdesk.schemas import ids
from nightdesk.schemas.records import NO_PROVIDER, Case, Decision, Event, PastStep, Spent, StepOutcome
from nightdesk.schemas.topics import BUDGET

WAIT_SECONDS = 24 * 60 * 60  # used if neither the decision nor the charter sets a time


def calls_bound(state: PlaybookRun) -> str:
    """Why no further call may be made; empty if it may. An escalation is never bounded."""
    bound = state.compiled.charter.bounds.external_calls
    if state.decision.kind == "escalate" or state.external_calls < bound:
        return ""
    return f"bounds.external_calls: the case has made its {bound}"


def conclude(state: PlaybookRun) -> Ending:
    """The ending of a playbook that stopped or finished."""
    stopped = next((outcome for outcome in state.outcomes if outcome.status in ("failed", "unknown", "skipped")), None)
    outcomes, timers = tuple(state.outcomes), follow_ups(state)
    if stopped is not None and stopped.status != "skipped":
        return _failed(state, stopped, timers)
    if stopped is not None:
        return _to_a_person(state, stopped.error or "")
    if state.decision.kind in ("research", "wait"):
        return _next_step(state, timers)
    if state.decision.kind == "escalate":
        return Ending("escalated", outcomes, None, timers, _why_escalated(state.decision))
    return Ending("completed", outcomes, None, timers)


def _why_escalated(decision: Decision) -> str:
    """Why a person has the case: what kept it from going on, what turned a decision down, why nobody could decide; or
    who decided so, whose reasoning the decision has.
    """
    because = decision.case.escalate_because or decision.disposition_reason
    undecided = decision.reasoning if decision.provider == NO_PROVIDER else ""
    return because or undecided or f"decided by {decision.provider}"


def unapproved(decision: Decision, compiled: CompiledCharter, expired_at: datetime) -> Ending:
    """The ending of a decision that nobody answered in time, according to its action's `on_expiry`. If the charter has
    no escalation left, the decision becomes a dead letter, whose replay asks again.
    """
    asked = f"nobody answered whether to {decision.action} {decision.parameters[:500]} before"
    reason = f"{asked} {expired_at:%Y-%m-%d %H:%M} UTC"
    action = compiled.charter.actions.get(decision.action)  # a charter that was promoted since may have removed it
    if action is not None and action.on_expiry == "refuse":
        return Ending("refused", (), reason=reason)
    state = PlaybookRun(decision, compiled, Progress(), expired_at)
    if failure.escalation_after(state) is None:
        return Ending("failed", (), reason=reason, dead_letter=failure.NOBODY_ANSWERED)
    return Ending("running", (), _next_case(state).model_copy(update={"escalate_because": reason}), reason=reason)


def conclude_rehearsal(state: PlaybookRun) -> Ending:
    """The ending of a dry run. Research goes on with what it read; everything else ends here."""
    outcomes, decision = tuple(state.outcomes), state.decision
    stopped = next((outcome for outcome in outcomes if outcome.status not in ("done", "would_have")), None)
    if stopped is not None:
        return Ending("dry_run", outcomes, reason=f"in live mode: {failure.reason_of(state, stopped)}")
    is_complete = len(outcomes) == len(state.positions("done"))
    if not state.asks_a_person and (decision.kind == "wait" or (decision.kind == "research" and is_complete)):
        return _next_step(state, ())
    return Ending("dry_run", outcomes, reason=f"nothing was changed: {decision.disposition_reason}")


def reconsidered(decision: Decision, compiled: CompiledCharter, event: Event, at: datetime) -> Ending:
    """The ending of a decision that a newer event took back at `at`: the case is decided again with the event. The time
    that it waited does not count toward its bounds.
    """
    case = decision.case.model_copy(update={"received_at": at, "stored_at": None})
    state = PlaybookRun(decision.model_copy(update={"case": case}), compiled, Progress(), at)
    following = _next_case(state)
    if reached := _bound_reached(state, following.spent):
        return _to_a_person(state, f"{event.type} {event.id} came, and {reached}")
    event = event.model_copy(update={"data": bounded(event.data)})
    *before, last = following.history
    history = (*before, last.model_copy(update={"interrupted_by": event}))
    reason = f"{event.type} {event.id} came before anybody approved {decision.action}"
    return Ending("running", (), following.model_copy(update={"history": history}), reason=reason)


def escalated(decision: Decision, compiled: CompiledCharter, reason: str, now: datetime) -> Ending:
    """The ending of a decision that may not be executed any more: a person gets the case."""
    return _to_a_person(PlaybookRun(decision, compiled, Progress(), now), reason)


def _failed(state: PlaybookRun, stopped: StepOutcome, timers: tuple[TimerRequest, ...]) -> Ending:
    """The ending of a failed action. If an undo failed it is a dead letter, whoever gets the case."""
    outcomes, reason = tuple(state.outcomes), failure.reason_of(state, stopped)
    letter = failure.UNDO_FAILED if state.positions("undo_failed") else ""
    match failure.after(state, stopped):
        case failure.RetryAction(after_s):
            return Ending("failed", outcomes, reason=reason, retry_after_s=after_s)
        case failure.Escalate(for_a_person):
            case = _next_case(state).model_copy(update={"escalate_because": for_a_person})
            return Ending("running", outcomes, case, timers, reason, letter)
        case failure.GiveUp(error):
            return Ending("failed", outcomes, None, timers, reason, letter or error)


def _next_step(state: PlaybookRun, timers: tuple[TimerRequest, ...]) -> Ending:
    decision = state.decision
    case = _next_case(state)
    reached = _bound_reached(state, case.spent)
    if reached:
        return _to_a_person(state, reached)
    stale = stale_because(state.compiled.charter.bounds, decision.case.aged_from, state.now)
    if stale and state.compiled.charter.bounds.when_stale == "drop":
        return Ending("refused", tuple(state.outcomes), None, timers, stale)
    if stale:
        return _to_a_person(state, stale)
    if decision.kind == "research":
        return Ending("running", tuple(state.outcomes), case, timers)
    due_at = state.now + timedelta(seconds=_wait_seconds(state))
    # The agent chose to wait, so the case is as fresh then as a new one.
    case = case.model_copy(update={"received_at": due_at, "stored_at": None})
    timer = TimerRequest(
        timer_id=ids.timer_id("wait", decision.decision_id),
        subject=decision.subject,
        due_at=due_at,
        topic=BUDGET.name,
        record=reservation(case, due_at),
        reason=f"wait: {decision.action}",
        case_id=case.case_id,
    )
    return Ending("waiting", tuple(state.outcomes), None, (*timers, timer))


def _wait_seconds(state: PlaybookRun) -> int:
    action = state.compiled.charter.actions[state.decision.action]
    try:
        asked = seconds_of(orjson.loads(state.decision.parameters).get("after"))
    except TimerInvalid:
        asked = action.at_most or WAIT_SECONDS
    return min(asked, action.longest_wait_s)


def _next_case(state: PlaybookRun) -> Case:
    decision, case = state.decision, state.decision.case
    past = PastStep(
        step=case.step,
        action=decision.action,
        kind=decision.kind,
        parameters=decision.parameters,
        reasoning=decision.reasoning,
        outcomes=tuple(state.outcomes),
    )
    used = {
        "actions": case.spent.actions + 1,
        "external_calls": state.external_calls,
        "worked_ms": state.worked_ms,
    }
    spent = case.spent.model_copy(update=used)
    # The reservation was for this step only: while a case waits or researches, other cases can use the money.
    update = {"step": case.step + 1, "spent": spent, "history": (*case.history, past), "reserved_microusd": 0}
    of_step = {"returns": 0, "returned_microusd": 0, "waits_since": None, "rules_because": "", "cause": ""}
    return case.model_copy(update={**update, **of_step})


def _bound_reached(state: PlaybookRun, spent: Spent) -> str:
    """The bound that another step would exceed; empty if none."""
    bounds = state.compiled.charter.bounds
    used = {
        "actions": (spent.actions, bounds.actions),
        "external_calls": (spent.external_calls, bounds.external_calls),
        "model_calls": (spent.model_calls, bounds.model_calls),
        "seconds": (spent.worked_ms // 1000, bounds.seconds),
    }
    return "; ".join(f"bounds.{name}: {has} of {most} used" for name, (has, most) in used.items() if has >= most)


def _to_a_person(state: PlaybookRun, reason: str) -> Ending:
    """The case's next step escalates, so that the charter's playbook informs a person. If there is no such action, or
    this was it, nobody would hear of the case, so it becomes a dead letter.
    """
    outcomes = tuple(state.outcomes)
    if state.decision.kind == "escalate" or failure.escalation_after(state) is None:
        return Ending("failed", outcomes, None, follow_ups(state), reason, failure.NO_ESCALATION)
    case = _next_case(state).model_copy(update={"escalate_because": reason})
    return Ending("running", outcomes, case, follow_ups(state), reason)
