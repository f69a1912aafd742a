"""What follows an action that failed, or that may have happened: a retry, a person, or a dead letter. Pure.

The charter's `on_failure` decides. Nobody is asked in a circle: an action is escalated by the charter's escalation, an
escalation only by the one that its `otherwise` names, and `charter check` refuses a chain of these that does not end.
"""

from dataclasses import dataclass

from nightdesk.processors.charter.compiled import CompiledStep
from nightdesk.processors.playbook.lifecycle import State
from nightdesk.processors.playbook.playbook_run import PlaybookRun
from nightdesk.schemas.records import StepOutcome

ACTION_FAILED = "ActionFailed"
ESCALATION_FAILED = "EscalationFailed"
UNDO_FAILED = "UndoFailed"
NOBODY_ANSWERED = "NobodyAnswered"
NO_ESCALATION = "NoEscalation"
MAY_HAVE_HAPPENED = "may have happened: look at the other system before you do it again"


@dataclass(frozen=True, slots=True)
class RetryAction:
    """The action is executed again after this many seconds, with new keys."""

    after_s: int


@dataclass(frozen=True, slots=True)
class Escalate:
    """A person gets the case, as its next step, with the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nobody is left to escalate to: a dead letter, with the class of its error."""

    error: str


def after(state: PlaybookRun, stopped: StepOutcome) -> RetryAction | Escalate | GiveUp:
    """What follows the failure. An action is only tried again if none of its effects can remain."""
    decision = state.decision
    action = state.compiled.charter.actions[decision.action]
    retry, has_no_effect = action.retry_policy, stopped.status == "failed" and not state.positions("undo_failed")
    if retry is not None and has_no_effect and state.runs < retry.times:
        return RetryAction(retry.every)
    if action.on_failure != "dead_letter" and escalation_after(state) is not None:
        return Escalate(_for_a_person(state, stopped))
    return GiveUp(ESCALATION_FAILED if decision.kind == "escalate" else ACTION_FAILED)


def escalation_after(state: PlaybookRun) -> str | None:
    """The escalating action that gets the case; `escalation.py` finds the same one from the case's history."""
    decision, compiled = state.decision, state.compiled
    if decision.kind == "escalate":
        return compiled.charter.actions[decision.action].otherwise
    return None if decision.case.escalate_because else compiled.escalation


def reason_of(state: PlaybookRun, stopped: StepOutcome) -> str:
    """Text for people: the step that stopped the action, what remains done, and what was undone."""
    reason = f"step {stopped.position} ({stopped.handler}) {stopped.status}: {stopped.error or 'no reason given'}"
    not_undone = [outcome.handler for outcome in state.outcomes if outcome.status == "undo_failed"]
    parts = {
        "still done": [step.policy.do for step in _steps(state, "done") if not step.handler.read_only],
        "undone": [step.policy.do for step in _steps(state, "undone")],
        "not undone": not_undone,
    }
    return "; ".join([reason, *(f"{name}: {', '.join(handlers)}" for name, handlers in parts.items() if handlers)])


def _steps(state: PlaybookRun, reached: State) -> list[CompiledStep]:
    return [state.steps[position] for position in state.positions(reached)]


def _for_a_person(state: PlaybookRun, stopped: StepOutcome) -> str:
    """The text for people, with the important part first, because it may be cut when it is shown."""
    decision = state.decision
    failed = f"failed {state.runs + 1} times" if state.runs else "failed"
    became = MAY_HAVE_HAPPENED if stopped.status == "unknown" else failed
    reason = f"{decision.action} {became}; {reason_of(state, stopped)}"
    if decision.kind != "escalate":
        return reason
    return f"{reason}. The case was escalated because: {decision.reasoning}"
