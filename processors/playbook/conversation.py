"""Running a playbook: a generator that yields the steps to perform and is sent what came of each.

The act stage drives it through `processors.playbook.run`. Started again after a crash with what was recorded, it yields
only what is left and comes to the same ending.
"""

from collections.abc import Generator, Iterator
from datetime import datetime
from typing import Any

import orjson

from processors.charter.compiled import CompiledCharter, CompiledStep
from processors.charter.playbooks import RemindHandler
from processors.playbook import ending
from processors.playbook.book import Book
from processors.playbook.lifecycle import IllegalOutcome
from processors.playbook.words import Ending, Progress, RunStep
from processors.scopes import Scope
from processors.templates import Render, TemplateFailed
from schemas import ids
from schemas.records import Decision, StepOutcome

Conversation = Generator[RunStep, StepOutcome, StepOutcome]
Steps = Generator[RunStep, StepOutcome, None]


def run(
    decision: Decision, compiled: CompiledCharter, progress: Progress, now: datetime
) -> Generator[RunStep, StepOutcome, Ending]:
    """Do what the decision stands for.

    A step that fails sends the done ones back through their undo, last first. One that is `unknown` stops everything as
    it stands: whether to go back is a person's choice then. Raises `IllegalOutcome` for an outcome that is not the
    step's, ValueError for a decision that is neither to be executed nor rehearsed, DataInvalid where its JSON is none.
    """
    if decision.disposition not in ("execute", "dry_run"):
        raise ValueError(f"a decision that is {decision.disposition} has no playbook to run")
    book = Book(decision, compiled, progress, now)
    if decision.disposition == "dry_run":
        return Ending("completed", tuple(_rehearsed(book)), reason="dry run: nothing was done")
    yield from _forward(book)
    if book.last_status in ("failed", "skipped"):
        yield from _backward(book)
    return ending.conclude(book)


def _rehearsed(book: Book) -> Iterator[StepOutcome]:
    for position, step in enumerate(book.steps):
        try:
            values = step.render(book.scope(position))
        except TemplateFailed as error:
            yield book.unasked(position, "skipped", error=f"cannot be shown in a dry run: {error}")
        else:
            yield book.unasked(position, "skipped", result=orjson.dumps(values).decode())


def _forward(book: Book) -> Steps:
    for position, step in enumerate(book.steps):
        recorded = book.recorded.get(book.step_id(position))
        outcome = (yield from _do(book, position, step)) if recorded is None else recorded
        book.add(position, outcome)
        if outcome.status != "done":
            return


def _do(book: Book, position: int, step: CompiledStep) -> Conversation:
    reached = ending.calls_bound(book) if book.calls_outside(step.policy.do) else ""
    if reached:
        return book.unasked(position, "skipped", error=reached)
    try:
        values = step.render(book.scope(position))
        if isinstance(step.handler, RemindHandler):
            due_at = ending.follow_up(book, position, values).due_at
            return book.unasked(position, "done", result=orjson.dumps({"due_at": due_at}).decode())
    except (TemplateFailed, ending.ReminderInvalid) as error:
        return book.unasked(position, "failed", error=str(error))
    return (yield from _ask(book, book.step_id(position), position, step.policy.do, values))


def _backward(book: Book) -> Steps:
    for position in reversed(book.positions("done")):
        step = book.steps[position]
        if step.policy.undo is not None or isinstance(step.handler, RemindHandler):
            recorded = book.recorded.get(ids.undo_id(book.step_id(position)))
            outcome = (yield from _undo(book, position, step)) if recorded is None else recorded
            book.add(position, outcome)


def _undo(book: Book, position: int, step: CompiledStep) -> Conversation:
    undo = step.policy.undo
    if undo is None:  # a reminder that was not sent yet, and now never is
        return book.unasked(position, "undone")
    scope = book.scope(position).having(result=orjson.loads(book.outcomes[position].result))
    try:
        values = _values(step.render_undo or step.render, scope)
    except TemplateFailed as error:
        return book.unasked(position, "undo_failed", error=str(error))
    return (yield from _ask(book, ids.undo_id(book.step_id(position)), position, undo.do, values))


def _values(render: Render, scope: Scope) -> dict[str, Any]:
    values: dict[str, Any] = render(scope)
    return values


def _ask(book: Book, step_id: str, position: int, handler: str, values: dict[str, Any]) -> Conversation:
    undo = step_id != book.step_id(position)
    outcome = yield RunStep(step_id, position, handler, values, undo=undo, begun=step_id in book.intents)
    if outcome.step_id != step_id:
        raise IllegalOutcome(f"the outcome is of step {outcome.step_id}, asked was {step_id}")
    return outcome
