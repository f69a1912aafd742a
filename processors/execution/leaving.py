"""The transitions that finish with the current record: the decision goes on, waits, requests a grant or ends. Pure.

`transitions.py` and `calls.py` share them. The state that is stored includes the hash of the payload that the
decision's id identifies.
"""

from datetime import datetime

from nightdesk.processors import backoff
from nightdesk.processors.execution.commands import Command, Conclude, Continue, WaitCause, WaitForOrder, WaitForTimer
from nightdesk.processors.execution.policy import AWAY_BACKOFF_AT_MOST
from nightdesk.processors.execution.state import ExecutionState
from nightdesk.processors.execution.types import Execution, Phase, StepRun
from nightdesk.processors.playbook import Ending
from nightdesk.processors.provenance import case_sha256
from nightdesk.schemas import ids
from nightdesk.schemas.records import StepOutcome

Next = tuple[Execution, Command]


class IllegalEvent(ValueError):
    """The event is not possible in this state: a mistake in the caller."""


def go_on(execution: Execution, state: ExecutionState, outcome: StepOutcome) -> Next:
    """The step is over, and the playbook chooses the next. `state` does not include its outcome yet."""
    return execution.having(state=state.with_outcome(outcome), phase=Phase.RUNNING), Continue(outcome)


def wait_for_system(execution: Execution, shut_for_s: float, now: datetime, error: str = "") -> Next:
    """The system that the step calls is away: handle the decision again when its circuit may admit a probe."""
    current, state = current_step(execution), execution.state.with_wait(now, execution.paused_s)
    delay_s = backoff.delay_s(f"{current.step.step_id}:{state.waits}", min(state.waits, AWAY_BACKOFF_AT_MOST))
    reason = f"{current.policy.handler.outside} is away" + (f": {error}" if error else "")
    return wait(execution.having(state=state), shut_for_s + delay_s, reason, "away")


def wait(execution: Execution, after_s: float, reason: str, cause: WaitCause = "again") -> Next:
    """Handle the decision again after this many seconds."""
    return leave(remembering(execution, to_wait=True), WaitForTimer(after_s, reason, cause))


def wait_for_order(execution: Execution, reason: str, *, is_waiting: bool) -> Next:
    """Handle the decision again when no order holds it; `is_waiting`: it waits already, and this is the same wait."""
    if not is_waiting:
        execution = execution.having(state=execution.state.with_halt())
    return leave(remembering(execution, to_wait=True), WaitForOrder(reason))


def conclude(execution: Execution, ending: Ending, now: datetime) -> Next:
    """The decision has ended, and the next step of its case is known. A case continues only once: a replay that ends
    differently, because a failed undo has succeeded, does not escalate a second time.
    """
    state, changes = execution.state, dict[str, str]()
    if ending.following is not None:
        next_sha256 = case_sha256(ending.following)
        if state.next_sha256 not in (None, next_sha256):
            ending = ending.without_following()
        else:
            changes["next_sha256"] = next_sha256
    if ending.dead_letter:
        changes["dead_letter_id"] = ids.decision_letter_id(execution.decision.decision_id, state.replays)
    # The payload's hash with them, because each copy of the state takes time.
    changes["payload_sha256"] = execution.payload_sha256
    state = state.ended(now, execution.compiled.restricted_by, **changes).left(to_wait=False)
    return execution.having(state=state, phase=Phase.LEFT), Conclude(ending)


def remembering(execution: Execution, *, to_wait: bool) -> Execution:
    """The execution with the state as it is to be stored."""
    state = execution.state.with_payload(execution.payload_sha256).left(to_wait=to_wait)
    return execution if state is execution.state else execution.having(state=state)


def leave(execution: Execution, command: Command) -> Next:
    """Finish with this record."""
    return execution.having(phase=Phase.LEFT), command


def current_step(execution: Execution) -> StepRun:
    """The current step. Raises `IllegalEvent` if there is none."""
    if execution.current is None:
        raise IllegalEvent("no step is in hand")
    return execution.current
