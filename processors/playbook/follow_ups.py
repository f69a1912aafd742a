"""Follow-ups: the timers that the `remind` steps of a playbook set."""

from datetime import datetime, timedelta
from typing import Any

import orjson
from pydantic import ValidationError

from nightdesk.processors.charter.handlers import RemindHandler
from nightdesk.processors.playbook.carried import carried_case
from nightdesk.processors.playbook.playbook_run import PlaybookRun
from nightdesk.processors.playbook.types import TimerRequest
from nightdesk.processors.quantities import parse_duration
from nightdesk.schemas import ids
from nightdesk.schemas.records import Case, Event
from nightdesk.schemas.topics import INGEST


class TimerInvalid(ValueError):
    """The values of a `remind` step are invalid; the message names the wrong one."""


def follow_up(
    state: PlaybookRun, position: int, values: dict[str, Any], due_at: datetime | None = None
) -> TimerRequest:
    """The timer of a `remind` step, due `after` now or at `due_at`. Raises `TimerInvalid`."""
    after, kind = values.get("after"), values.get("type")
    if not isinstance(kind, str) or not kind:
        raise TimerInvalid("type: set the type of the event to emit")
    case, timer_id = state.decision.case, ids.timer_id("remind", state.step_id(position))
    due_at = due_at or state.now + timedelta(seconds=seconds_of(after))
    data = values.get("data", {})
    if isinstance(data, dict):
        data = {"case": carried_case(state), **data}
    event = _event(case, timer_id, kind, due_at, data)
    return TimerRequest(
        timer_id=timer_id,
        subject=case.subject,
        due_at=due_at,
        topic=INGEST.name,
        record=event,
        reason=f"follow-up: {kind}",
        case_id=case.case_id,
        cancel_when=tuple(condition.recorded for condition in state.steps[position].policy.cancel_when),
        since=case.received_at,
    )


def _event(case: Case, timer_id: str, kind: str, due_at: datetime, data: Any) -> Event:
    try:
        return Event(
            id=timer_id,
            source=f"nightdesk/{case.agent}",
            type=kind,
            subject=case.subject,
            time=due_at,
            data=orjson.dumps(data).decode(),
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise TimerInvalid(f"{first['loc'][0]}: {first['msg']}") from None


def seconds_of(after: Any) -> int:
    try:
        return parse_duration(after if isinstance(after, str) else str(after))
    except ValueError as error:
        raise TimerInvalid(f"after: {error}") from None


def follow_ups(state: PlaybookRun) -> tuple[TimerRequest, ...]:
    """Timers of the completed `remind` steps, due at the time in their outcomes."""
    timers = []
    for position in state.positions("done"):
        step = state.steps[position]
        if isinstance(step.handler, RemindHandler):
            due_at = datetime.fromisoformat(orjson.loads(state.outcomes[position].result)["due_at"])
            timers.append(follow_up(state, position, step.render(state.scope(position)), due_at))
    return tuple(timers)
