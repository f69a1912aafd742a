"""Runs a playbook: a generator that yields the steps to perform and receives their outcomes.

After a crash it is started with the recorded progress, yields only the remaining steps, and reaches the same ending.
"""

from collections.abc import Generator
from datetime import datetime
from typing import Any

import orjson

from nightdesk.processors.charter.compiled import CompiledCharter, CompiledStep
from nightdesk.processors.charter.handlers import RemindHandler
from nightdesk.processors.playbook import ending
from nightdesk.processors.playbook.follow_ups import TimerInvalid, follow_up
from nightdesk.processors.playbook.lifecycle import IllegalOutcome
from nightdesk.processors.playbook.playbook_run import PlaybookRun
from nightdesk.processors.playbook.types import Ending, Progress, RunStep
from nightdesk.processors.scopes import Scope
from nightdesk.processors.templates import Render, TemplateFailed
from nightdesk.schemas import ids
from nightdesk.schemas.records import Decision, StepOutcome

PlaybookFlow = Generator[RunStep, StepOutcome, StepOutcome]
Steps = Generator[RunStep, StepOutcome, None]


def run(
    decision: Decision, compiled: CompiledCharter, progress: Progress, now: datetime
) -> Generator[RunStep, StepOutcome, Ending]:
    """Perform what the decision asks for.

    In a dry run only the steps that change nothing are performed; for the others the request is shown. If a step fails,
    the completed steps are undone in reverse order. If one is `unknown`, nothing more happens, because a person has to
    choose how to continue. Raises `IllegalOutcome` for an outcome of another step, ValueError for a decision that is
    neither executed nor rehearsed, `DataInvalid` if its JSON is invalid.
    """
    if decision.disposition not in ("execute", "dry_run"):
        raise ValueError(f"a decision that is {decision.disposition} has no playbook to run")
    state = PlaybookRun(decision, compiled, progress, now)
    if decision.disposition == "dry_run":
        yield from _rehearse(state)
        return ending.conclude_rehearsal(state)
    yield from _forward(state)
    if state.last_status in ("failed", "skipped"):
        yield from _backward(state)
    return ending.conclude(state)


def _rehearse(state: PlaybookRun) -> Steps:
    """Only steps that change nothing are performed; if a person would have to approve the decision first, none is."""
    for position, step in enumerate(state.steps):
        recorded = state.recorded.get(state.step_id(position))
        if recorded is not None:
            outcome = recorded
        elif _is_performed(state, position, step):
            outcome = yield from _do(state, position, step)
        else:
            outcome = yield from _would_do(state, position, step)
        state.add(position, outcome)
        if outcome.status not in ("done", "would_have"):
            return


def _is_performed(state: PlaybookRun, position: int, step: CompiledStep) -> bool:
    """Whether a dry run performs the step: it changes nothing, and needs no result of a step that was not performed."""
    if not step.handler.read_only or isinstance(step.handler, RemindHandler) or state.asks_a_person:
        return False
    if not state.positions("would_have"):
        return True
    try:
        step.render(state.scope(position))
    except TemplateFailed:
        return False
    return True


def _would_do(state: PlaybookRun, position: int, step: CompiledStep) -> PlaybookFlow:
    """The outcome of a step that is not performed: the request that would have been sent."""
    try:
        values = step.render(state.scope(position))
    except TemplateFailed as error:
        return state.local_outcome(position, "would_have", error=f"the request cannot be shown in a dry run: {error}")
    if isinstance(step.handler, RemindHandler):
        return state.local_outcome(position, "would_have", result=orjson.dumps(values).decode())
    shown = yield RunStep(
        state.step_id(position), position, step.policy.do, values, undo=False, begun=False, rehearsed=True
    )
    return state.local_outcome(position, "would_have", result=shown.result, error=shown.error)


def _forward(state: PlaybookRun) -> Steps:
    for position, step in enumerate(state.steps):
        recorded = state.recorded.get(state.step_id(position))
        outcome = (yield from _do(state, position, step)) if recorded is None else recorded
        state.add(position, outcome)
        if outcome.status != "done":
            return


def _do(state: PlaybookRun, position: int, step: CompiledStep) -> PlaybookFlow:
    reached = ending.calls_bound(state) if state.calls_outside(step.policy.do) else ""
    if reached:
        return state.local_outcome(position, "skipped", error=reached)
    try:
        values = step.render(state.scope(position))
        if isinstance(step.handler, RemindHandler):
            timer = follow_up(state, position, values)
            result = {"due_at": timer.due_at, "timer_id": timer.timer_id, "type": values["type"]}
            return state.local_outcome(position, "done", result=orjson.dumps(result).decode())
    except (TemplateFailed, TimerInvalid) as error:
        return state.local_outcome(position, "failed", error=str(error))
    return (yield from _ask(state, state.step_id(position), position, step.policy.do, values))


def _backward(state: PlaybookRun) -> Steps:
    for position in reversed(state.positions("done")):
        step = state.steps[position]
        if step.policy.undo is not None or isinstance(step.handler, RemindHandler):
            recorded = state.recorded.get(ids.undo_id(state.step_id(position)))
            outcome = (yield from _undo(state, position, step)) if recorded is None else recorded
            state.add(position, outcome)


def _undo(state: PlaybookRun, position: int, step: CompiledStep) -> PlaybookFlow:
    undo = step.policy.undo
    if undo is None:  # a timer that was not sent yet, and now never will be
        return state.local_outcome(position, "undone")
    scope = state.scope(position).having(result=orjson.loads(state.outcomes[position].result))
    try:
        values = _values(step.render_undo or step.render, scope)
    except TemplateFailed as error:
        return state.local_outcome(position, "undo_failed", error=str(error))
    return (yield from _ask(state, ids.undo_id(state.step_id(position)), position, undo.do, values))


def _values(render: Render, scope: Scope) -> dict[str, Any]:
    values: dict[str, Any] = render(scope)
    return values


def _ask(state: PlaybookRun, step_id: str, position: int, handler: str, values: dict[str, Any]) -> PlaybookFlow:
    undo = step_id != state.step_id(position)
    outcome = yield RunStep(step_id, position, handler, values, undo=undo, begun=step_id in state.intents)
    if outcome.step_id != step_id:
        raise IllegalOutcome(f"the outcome is of step {outcome.step_id} instead of {step_id}")
    return outcome
