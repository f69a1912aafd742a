"""What a decision comes to when its playbook has run: an end, the case's next step, or a timer.

`conversation.py` calls `conclude` last. The bounds of a case are held here: one that has used them up goes to a person.
"""

from datetime import datetime, timedelta
from typing import Any

import orjson

from processors.charter.playbooks import RemindHandler
from processors.charter.quantities import parse_duration
from processors.ledger.lines import asking
from processors.playbook.book import Book
from processors.playbook.words import Ending, Timer
from schemas import ids
from schemas.records import Case, Event, PastStep, Spent, StepOutcome
from schemas.topics import BUDGET, INGEST

WAIT_SECONDS = 24 * 60 * 60  # where neither the decision nor the charter says how long


class ReminderInvalid(ValueError):
    """The values of a `remind` step are not what it needs; the message names the one at fault."""


def calls_bound(book: Book) -> str:
    """Why no call may go outside any more, or nothing. Handing the case to a person is never bound."""
    bound = book.compiled.charter.bounds.external_calls
    if book.decision.kind == "escalate" or book.external_calls < bound:
        return ""
    return f"bounds.external_calls: the case has made its {bound}"


def follow_up(book: Book, position: int, values: dict[str, Any], due_at: datetime | None = None) -> Timer:
    """The timer of a `remind` step, due `after` now or at `due_at`. Raises `ReminderInvalid`."""
    after, kind = values.get("after"), values.get("type")
    if not isinstance(kind, str) or not kind:
        raise ReminderInvalid("type: give the type of the event that is to come")
    case, reminder_id = book.decision.case, ids.reminder_id("remind", book.step_id(position))
    due_at = due_at or book.now + timedelta(seconds=_seconds(after))
    event = Event(
        id=reminder_id,
        source=f"nightdesk/{case.agent}",
        type=kind,
        subject=case.subject,
        time=due_at,
        data=orjson.dumps(values.get("data", {})).decode(),
    )
    return Timer(reminder_id, case.subject, due_at, INGEST.name, event, f"reminder: {kind}", case.case_id)


def _seconds(after: Any) -> int:
    try:
        return parse_duration(after if isinstance(after, str) else str(after))
    except ValueError as error:
        raise ReminderInvalid(f"after: {error}") from None


def conclude(book: Book) -> Ending:
    """The ending of a playbook that stopped or came to its end."""
    stopped = next((outcome for outcome in book.outcomes if outcome.status in ("failed", "unknown", "skipped")), None)
    outcomes, reminders = tuple(book.outcomes), _reminders(book)
    if stopped is not None and stopped.status != "skipped":
        return Ending("failed", outcomes, None, reminders, _what_stopped(book, stopped))
    if stopped is not None:
        return _to_a_person(book, stopped.error or "")
    if book.decision.kind in ("research", "wait"):
        return _next_step(book, reminders)
    return Ending("escalated" if book.decision.kind == "escalate" else "completed", outcomes, None, reminders)


def _reminders(book: Book) -> tuple[Timer, ...]:
    """Timers of the `remind` steps that stand, due when their outcome says."""
    timers = []
    for position in book.positions("done"):
        step = book.steps[position]
        if isinstance(step.handler, RemindHandler):
            due_at = datetime.fromisoformat(orjson.loads(book.outcomes[position].result)["due_at"])
            timers.append(follow_up(book, position, step.render(book.scope(position)), due_at))
    return tuple(timers)


def _what_stopped(book: Book, stopped: StepOutcome) -> str:
    reason = f"step {stopped.position} ({stopped.handler}) {stopped.status}: {stopped.error or 'no reason given'}"
    failed = [outcome.handler for outcome in book.outcomes if outcome.status == "undo_failed"]
    return f"{reason}; not taken back: {', '.join(failed)}" if failed else reason


def _next_step(book: Book, reminders: tuple[Timer, ...]) -> Ending:
    decision = book.decision
    case = _next_case(book)
    reached = _bound_reached(book, case.spent)
    if reached:
        return _to_a_person(book, reached)
    if decision.kind == "research":
        return Ending("running", tuple(book.outcomes), case, reminders)
    due_at = book.now + timedelta(seconds=_wait_seconds(book))
    # The bound on seconds is for what a case does, and waiting is not doing: its clock starts again when it is due.
    case = case.model_copy(update={"received_at": due_at})
    timer = Timer(
        reminder_id=ids.reminder_id("wait", decision.decision_id),
        subject=decision.subject,
        due_at=due_at,
        topic=BUDGET.name,
        record=asking(case, due_at),
        reason=f"wait: {decision.action}",
        case_id=case.case_id,
    )
    return Ending("waiting", tuple(book.outcomes), None, (*reminders, timer))


def _wait_seconds(book: Book) -> int:
    action = book.compiled.charter.actions[book.decision.action]
    try:
        asked = _seconds(orjson.loads(book.decision.parameters).get("after"))
    except ReminderInvalid:
        asked = action.at_most or WAIT_SECONDS
    return min(asked, action.longest_wait_s)


def _next_case(book: Book) -> Case:
    decision, case = book.decision, book.decision.case
    past = PastStep(
        step=case.step,
        action=decision.action,
        kind=decision.kind,
        parameters=decision.parameters,
        reasoning=decision.reasoning,
        outcomes=tuple(book.outcomes),
    )
    spent = case.spent.model_copy(update={"actions": case.spent.actions + 1, "external_calls": book.external_calls})
    # What was held was for this step alone: while a case waits, or has research done, its money is others' to use.
    update = {"step": case.step + 1, "spent": spent, "history": (*case.history, past), "reserved_microusd": 0}
    return case.model_copy(update=update)


def _bound_reached(book: Book, spent: Spent) -> str:
    """Which bound the case would break with another step, or nothing."""
    bounds = book.compiled.charter.bounds
    seconds = int((book.now - book.decision.case.received_at).total_seconds())
    used = {
        "actions": (spent.actions, bounds.actions),
        "external_calls": (spent.external_calls, bounds.external_calls),
        "model_calls": (spent.model_calls, bounds.model_calls),
        "seconds": (seconds, bounds.seconds),
    }
    return "; ".join(f"bounds.{name}: {has} of {most} used" for name, (has, most) in used.items() if has >= most)


def _to_a_person(book: Book, reason: str) -> Ending:
    """The case's next step is to escalate, so that the charter's playbook tells a person; without one it ends here."""
    outcomes = tuple(book.outcomes)
    if book.decision.kind == "escalate" or book.decision.case.escalate_because or not book.compiled.escalation:
        return Ending("escalated", outcomes, None, _reminders(book), reason)
    case = _next_case(book).model_copy(update={"escalate_because": reason})
    return Ending("running", outcomes, case, _reminders(book), reason)
