"""The transition table of an execution: `(state, event) -> state, command`. Pure.

Each transition returns the changed state and the next command. Those of one step are in `calls.py`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from nightdesk.processors.execution import calls
from nightdesk.processors.execution.commands import Hold, RunPlaybook
from nightdesk.processors.execution.events import (
    ApprovalExpired,
    ApprovalRead,
    CallEnded,
    CircuitShut,
    DecisionRead,
    Event,
    GrantRead,
    Known,
    OrdersConfirmed,
    PlaybookEnded,
    Reconsidered,
    Saved,
    SlotRefused,
    SlotTaken,
    StepDue,
)
from nightdesk.processors.execution.leaving import IllegalEvent, Next, conclude, leave, wait
from nightdesk.processors.execution.review import check_step_before, review
from nightdesk.processors.execution.types import Execution, Phase
from nightdesk.processors.playbook import Ending, escalated, reconsidered, unapproved
from nightdesk.processors.playbook.failure import ACTION_FAILED
from nightdesk.processors.playbook.staleness import stale_because
from nightdesk.processors.provenance import Forged, check_origin


def advance(execution: Execution, event: Event, now: datetime) -> Next:
    """The execution after the event, and what to do next. Raises `IllegalEvent` for an event that cannot come now, and
    `Forged` for a record that no stage of ours can have made.
    """
    transition = TRANSITIONS.get((execution.phase, type(event)))
    if transition is None:
        raise IllegalEvent(f"an execution that is {execution.phase} takes no {type(event).__name__}")
    return transition(execution, event, now)


# -- a record about the decision was read


def _decision_read(execution: Execution, event: DecisionRead, now: datetime) -> Next:
    state = execution.state.with_replay(event.replay_of)
    return _take_up(execution if state is execution.state else execution.having(state=state), event.known, now)


def _grant_read(execution: Execution, event: GrantRead, now: datetime) -> Next:
    # A slot in the future was granted by a clock that is ahead, or by nobody. It grows old from now on, because until
    # then it would be valid however long the decision waits.
    slot_at = min(event.grant.slot_at, now)
    grant = event.grant.model_copy(update={"slot_at": slot_at, "paused_s": execution.paused_s})
    state = execution.state.with_grant(event.purpose, grant)
    return _take_up(execution.having(state=state), event.known, now)


def _approval_read(execution: Execution, event: ApprovalRead, now: datetime) -> Next:
    state = execution.state.model_copy(update={"approved_by": event.person, "approved_at": now})
    return _review(execution.having(state=state), Known(), now)


def _approval_expired(execution: Execution, event: ApprovalExpired, now: datetime) -> Next:
    ending = unapproved(execution.decision, execution.compiled, event.expired_at)
    return conclude(execution, ending, now)


def _reconsidered(execution: Execution, event: Reconsidered, now: datetime) -> Next:
    ending = reconsidered(execution.decision, execution.compiled, event.by, execution.state.at)
    return conclude(execution, ending, now)


def _take_up(execution: Execution, known: Known, now: datetime) -> Next:
    execution = _as_it_ended(execution, known)
    decision, state, payload = execution.decision, execution.state, execution.payload_sha256
    now = state.ended_at or now
    check_origin(decision, execution.compiled)
    check_step_before(decision.case, known.step_before)
    done, held = state.payload_sha256, known.held_sha256
    if (done or held) and payload not in (done, held):
        raise Forged(f"decision {decision.decision_id} is known with another payload")
    approved = state.approved_by is not None and done in (None, payload)
    if held == payload and not approved:
        # Once it is held only an answer releases it, whatever this copy of it says.
        return leave(execution, Hold())
    if state.pause is not None and (left_s := state.pause.left_s(now)):
        return wait(execution, left_s, "the action is tried again")
    return _review(execution, known, now)


def _as_it_ended(execution: Execution, known: Known) -> Execution:
    """What has ended comes to the same end, however much stricter or laxer its charter has become since."""
    if execution.state.ended_at is None or known.ended_under is None:
        return execution
    return execution.having(compiled=known.ended_under)


def _review(execution: Execution, known: Known, now: datetime) -> Next:
    decision, state = execution.decision, execution.state
    found = review(decision, execution.compiled, approved=state.approved_by is not None)
    if found.disposition == "needs_approval":
        return leave(execution, Hold(found.reason))
    is_new = state.approved_by is None and state.payload_sha256 is None
    if found.disposition == "execute" and is_new and known.other_open is not None:
        reason = f"another {decision.action} of {decision.subject} waits for a person: {known.other_open}"
        return leave(execution, Hold(reason))
    if found.disposition == "refused":
        return conclude(execution, _refused(execution, found.reason, now), now)
    if found.disposition == "dry_run" and execution.received.disposition != "dry_run" and state.is_begun:
        return conclude(execution, _cut_short(execution, found.reason), now)
    if found.disposition == "execute" and (stale := _stale_because(execution, now)):
        if execution.compiled.charter.bounds.when_stale == "drop":
            return conclude(execution, Ending("refused", (), reason=stale), now)
        if state.approved_by is not None:  # its approval is answered, so nobody is asked again
            return conclude(execution, escalated(decision, execution.compiled, stale, now), now)
        return leave(execution, Hold(stale))
    if decision.disposition != found.disposition:
        decision = decision.model_copy(update={"disposition": found.disposition})
    if found.disposition == "dry_run":
        update = {"disposition_reason": found.reason, "would_need_approval": found.would_need_approval}
        decision = decision.model_copy(update=update)
    return execution.having(decision=decision, phase=Phase.RUNNING), RunPlaybook()


def _refused(execution: Execution, reason: str, now: datetime) -> Ending:
    """The charter does not allow the decision. If a newer charter restricted it, a person gets the case."""
    if execution.state.is_begun:
        return _cut_short(execution, reason)
    if execution.compiled.is_restricted:
        return escalated(execution.decision, execution.compiled, reason, now)
    return Ending("refused", (), reason=reason)


def _cut_short(execution: Execution, reason: str) -> Ending:
    """A newer charter forbids the rest of the playbook. Completed steps stay, and a person gets a dead letter, because
    an escalation might not be allowed either.
    """
    state = execution.state
    begun = f"; {len(state.intents)} calls may have happened" if state.intents else ""
    stopped = f"stopped after {len(state.outcomes)} steps{begun}: {reason}"
    return Ending("failed", state.outcomes, reason=stopped, dead_letter=ACTION_FAILED)


def _stale_because(execution: Execution, now: datetime) -> str:
    """Why the decision is too old to be executed, or empty. A started decision is finished, and an escalation is never
    too late.
    """
    decision, state = execution.decision, execution.state
    if decision.kind != "respond" or state.is_begun:
        return ""
    since = state.approved_at or decision.case.aged_from
    return stale_because(execution.compiled.charter.bounds, since, now)


def _playbook_ended(execution: Execution, event: PlaybookEnded, now: datetime) -> Next:
    ending = event.ending
    if ending.retry_after_s is None:
        return conclude(execution, ending, now)
    state = execution.state.with_retry(now, ending.retry_after_s)
    return wait(execution.having(state=state), ending.retry_after_s, f"the action is tried again: {ending.reason}")


Transition = Callable[[Execution, Any, datetime], Next]

TRANSITIONS: Mapping[tuple[Phase, type], Transition] = {
    (Phase.RECEIVED, DecisionRead): _decision_read,
    (Phase.RECEIVED, GrantRead): _grant_read,
    (Phase.RECEIVED, ApprovalRead): _approval_read,
    (Phase.RECEIVED, ApprovalExpired): _approval_expired,
    (Phase.RECEIVED, Reconsidered): _reconsidered,
    (Phase.RUNNING, StepDue): calls.step_due,
    (Phase.RUNNING, PlaybookEnded): _playbook_ended,
    (Phase.PREPARING, OrdersConfirmed): calls.orders_confirmed,
    (Phase.TAKING_SLOT, SlotTaken): calls.slot_taken,
    (Phase.TAKING_SLOT, SlotRefused): calls.slot_refused,
    (Phase.SAVING, Saved): calls.saved,
    (Phase.CALLING, CircuitShut): calls.circuit_shut,
    (Phase.CALLING, CallEnded): calls.call_ended,
}
