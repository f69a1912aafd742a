"""The transitions of one step: what its call needs before it is made, and what follows from its result. Pure.

Before a call, `orders_confirmed` runs repeatedly: the first thing that the call still needs determines the command, and
when nothing is missing the call is made. So a call only begins directly after the orders were confirmed, with its
grants taken and its intent durable.
"""

from dataclasses import replace
from datetime import datetime

from nightdesk.processors import backoff
from nightdesk.processors.charter.handlers import CharterHandler
from nightdesk.processors.execution import limits
from nightdesk.processors.execution.commands import ConfirmOrders, MakeCall, RequestGrant, Save, TakeSlot
from nightdesk.processors.execution.events import (
    CallEnded,
    CircuitShut,
    OrdersConfirmed,
    Saved,
    SlotRefused,
    SlotTaken,
    StepDue,
)
from nightdesk.processors.execution.leaving import (
    Next,
    current_step,
    go_on,
    leave,
    remembering,
    wait,
    wait_for_order,
    wait_for_system,
)
from nightdesk.processors.execution.policy import BREAKER
from nightdesk.processors.execution.state import Outage
from nightdesk.processors.execution.types import Execution, Phase, StepRun
from nightdesk.processors.playbook import RunStep, StepResult, absence
from nightdesk.schemas.persons import shown_order


def step_due(execution: Execution, event: StepDue, now: datetime) -> Next:
    """The playbook asks for a step. If its result is cached, or its system was away for too long, no call is made."""
    step, policy, outage = event.step, event.policy, execution.state.outage
    current = StepRun(step, policy, tuple(limits.uses_of(execution, step, policy)))
    execution = execution.having(current=current, phase=Phase.PREPARING)
    if event.cached is not None:
        outcome = step.outcome(
            StepResult("done", event.cached), started_at=now, latency_ms=0, attempts=0, from_cache=True
        )
        return go_on(execution, execution.state, outcome)
    if outage is not None and _is_over(outage, policy.handler, now, execution.paused_s):
        error = f"{policy.handler.outside} has been away since {outage.since:%Y-%m-%d %H:%M:%S} UTC"
        given_up = _unknown_if_called_before(step, policy.handler, StepResult("failed", error=error))
        # Its last attempt was before the system went away: no call begins now.
        return _end_step(execution, given_up, outage.since, latency_ms=0)
    return execution, ConfirmOrders()


def _is_over(outage: Outage, handler: CharterHandler, now: datetime, paused_s: float) -> bool:
    """Whether the charter allows no more waiting for the system."""
    give_up_after_s = handler.call_rules.give_up_after_s
    return give_up_after_s is not None and outage.waited_s(now, paused_s) >= give_up_after_s


def orders_confirmed(execution: Execution, event: OrdersConfirmed, now: datetime) -> Next:
    """The command for the first thing that the call still needs, or for the call."""
    current, state = current_step(execution), execution.state
    step, policy = current.step, current.policy
    if (order := event.order) is not None:
        return wait_for_order(_not_called(execution), shown_order(order), is_waiting=event.is_waiting)
    if event.others_wait and execution.is_new:
        return wait_for_order(_not_called(execution), "earlier decisions of the agent go first", is_waiting=False)
    if event.shut_for_s:
        return wait_for_system(_not_called(execution), event.shut_for_s, now)
    if current.uses:
        return _take_slot(execution, current, now)
    if not policy.repeatable and step.step_id not in state.intents:
        state = state.with_intent(step.step_id, now)
    if state is not execution.saved:
        return remembering(execution.having(state=state, phase=Phase.SAVING), to_wait=state.is_left), Save()
    if _is_recorded_too_long_ago(execution, current, now):
        after_s = backoff.delay_s(step.step_id, 1)
        return wait(_not_called(execution), after_s, "recording the start of the call took too long")
    return execution.having(phase=Phase.CALLING, current=current.having(started_at=now)), MakeCall()


def _take_slot(execution: Execution, current: StepRun, now: datetime) -> Next:
    use = current.uses[0]
    grant = limits.valid_grant(execution, use, now)
    if grant is None:
        return leave(remembering(execution, to_wait=True), RequestGrant(limits.request_for(execution, use, now)))
    return execution.having(phase=Phase.TAKING_SLOT), TakeSlot(use, grant)


def slot_taken(execution: Execution, event: SlotTaken, now: datetime) -> Next:
    """Remove the limit from those that the call still needs. A grant for this call alone is used up."""
    current, state = current_step(execution), execution.state
    use, *left = current.uses
    if use.once:
        state = state.with_grant(use.purpose, state.grants[use.purpose].model_copy(update={"used": True}))
    current = current.having(uses=tuple(left))
    return execution.having(state=state, current=current, phase=Phase.PREPARING), ConfirmOrders()


def slot_refused(execution: Execution, event: SlotRefused, now: datetime) -> Next:
    """Too many grants came at once, so this one is used later."""
    return wait(execution, event.after_s, f"too many at once for {current_step(execution).uses[0].limit}", "rate")


def saved(execution: Execution, event: Saved, now: datetime) -> Next:
    """Confirm the orders again, because saving took time."""
    return execution.having(saved=execution.state, phase=Phase.PREPARING), ConfirmOrders()


def _is_recorded_too_long_ago(execution: Execution, current: StepRun, now: datetime) -> bool:
    """Whether the intent was recorded too long ago. Such a call must not be sent now, because `reconcile` would count
    it as settled too early.
    """
    rules, sent_at = current.policy.handler.call_rules, execution.state.intents.get(current.step.step_id)
    if current.step.begun or sent_at is None:
        return False
    return not absence.may_still_be_sent(rules, sent_at, now)


def _not_called(execution: Execution) -> Execution:
    """Drop the intent, because no call was made. The intent of an earlier process stays open."""
    step = current_step(execution).step
    return execution if step.begun else execution.having(state=execution.state.without_intent(step.step_id))


# -- after the call


def circuit_shut(execution: Execution, event: CircuitShut, now: datetime) -> Next:
    """Wait, because another call probes whether the system is back."""
    return wait_for_system(_not_called(execution), event.shut_for_s, now)


def call_ended(execution: Execution, event: CallEnded, now: datetime) -> Next:
    """Apply the result of a call: the step is over, or the call is made again."""
    current, result = current_step(execution), event.result
    step, handler = current.step, current.policy.handler
    state = execution.state
    if result.absent:
        state = state.with_missed(step.step_id, event.ended_at)
        match absence.what_absence_says(handler.call_rules, state.missed_at[step.step_id], event.ended_at):
            case absence.AskAgain(after_s):
                state = state.with_call(_latency_ms(current, now))
                execution = execution.having(state=state, current=current.having(result=result))
                return wait(execution, after_s, f"{result.error}; it may still come, for {after_s:.0f} s more")
            case absence.Undecidable():
                error = f"{result.error}; without settles_within that proves nothing"
                result = replace(result, error=error, absent=False)
            case absence.NeverHappened():
                result = replace(result, status="failed", retryable=True)
    result = _unknown_if_called_before(step, handler, result)
    execution = execution.having(state=state, current=current.having(result=result))
    if result.retryable:
        return _try_again(execution, event, result, now)
    return _end_call(execution, result, now)


def _try_again(execution: Execution, event: CallEnded, result: StepResult, now: datetime) -> Next:
    """Make a call again that failed temporarily: `retries` times if the other side answers, and for `give_up_after` if
    it does not.
    """
    current, state = current_step(execution), execution.state
    step_id, in_doubt, error = current.step.step_id, result.status == "unknown", result.error or ""
    state = state.with_open_intent(step_id, now) if in_doubt else state.without_intent(step_id)
    attempt = state.attempt(step_id)
    if not event.is_away and attempt > current.policy.retries:
        return _end_call(execution.having(state=state), result, now)
    state = state.with_call(_latency_ms(current, now))
    if event.is_away:
        return wait_for_system(execution.having(state=state), event.shut_for_s, now, error)
    asked_s = min(result.retry_after_seconds or 0, BREAKER.open_seconds_at_most)
    after_s = max(backoff.delay_s(f"{step_id}:{attempt}", attempt), asked_s)
    return wait(execution.having(state=state.with_attempt(step_id)), after_s, error)


def _unknown_if_called_before(step: RunStep, handler: CharterHandler, result: StepResult) -> StepResult:
    """A result of `failed` becomes `unknown` if an earlier call of the step may have happened, except for a step that
    changes nothing.
    """
    if handler.read_only:
        return replace(result, status="failed") if result.retryable else result
    was_ruled_out = result.absent  # and it may mean that an earlier call happened
    in_doubt = result.status == "failed" and step.begun and not was_ruled_out
    return replace(result, status="unknown") if in_doubt else result


def _end_call(execution: Execution, result: StepResult, now: datetime) -> Next:
    current = current_step(execution)
    return _end_step(execution, result, current.started_at or now, latency_ms=_latency_ms(current, now))


def _latency_ms(current: StepRun, now: datetime) -> int:
    """How long the call took; never negative, even if the clock was set back."""
    return max(0, int((now - (current.started_at or now)).total_seconds() * 1000))


def _end_step(execution: Execution, result: StepResult, started_at: datetime, latency_ms: int) -> Next:
    step, state = current_step(execution).step, execution.state
    if result.status != "unknown":
        state = state.without_intent(step.step_id)
    attempts = state.attempt(step.step_id)
    outcome = step.outcome(result, started_at=started_at, latency_ms=latency_ms, attempts=attempts)
    return go_on(execution, state, outcome)
