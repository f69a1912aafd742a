"""The models of the timers stage's tables."""

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel

from nightdesk.processors.conditions import is_met
from nightdesk.schemas.records import CancelCondition, Event, Timer
from nightdesk.streams.api import Base64Bytes

# For one subject.
EVENTS_AT_MOST = 20
DATA_CHARACTERS_AT_MOST = 20_000


class TimerState(BaseModel):
    """A timer that is `waiting`, with what it will emit, has `fired` or was `cancelled`. `due` is epoch seconds."""

    state: Literal["waiting", "fired", "cancelled"]
    due: float
    topic: str = ""
    key: str = ""
    value: Base64Bytes = b""
    traceparent: str | None = None
    # For commands that read the table.
    subject: str = ""
    reason: str = ""
    case_id: str | None = None
    cancel_when: tuple[CancelCondition, ...] = ()
    since: datetime | None = None
    # The event or person that cancelled it.
    event_id: str = ""
    person: str = ""

    def is_cancelled_by(self, event: Event, at: datetime) -> bool:
        """Whether the event cancels it while it waits."""
        return (self.since is None or at > self.since) and is_met(self.cancel_when, event)


class CancellingEvent(BaseModel):
    """An event that came at `at`, and the timers that it cancelled then."""

    event: Event
    at: datetime
    cancelled: tuple[str, ...] = ()


class CancellingEvents(BaseModel):
    """The last events of a subject that may cancel timers."""

    events: tuple[CancellingEvent, ...] = ()

    def known(self, event: Event) -> CancellingEvent | None:
        """The entry of a known event; None if it is new."""
        return next((one for one in self.events if (one.event.id, one.event.source) == (event.id, event.source)), None)

    def having(self, event: Event, at: datetime, cancelled: tuple[str, ...]) -> Self:
        """The events with one more. Large data is dropped, so that the event meets no condition on it later."""
        if len(event.data) > DATA_CHARACTERS_AT_MOST:
            event = event.model_copy(update={"data": "null"})
        one = CancellingEvent(event=event, at=at, cancelled=cancelled)
        return self.model_copy(update={"events": (*self.events, one)[-EVENTS_AT_MOST:]})


def waiting(timer: Timer) -> TimerState:
    """The state of a timer that was just set."""
    return TimerState(
        state="waiting",
        due=timer.due_at.timestamp(),
        topic=timer.topic,
        key=timer.key,
        value=timer.value,
        traceparent=timer.traceparent,
        subject=timer.subject,
        reason=timer.reason,
        case_id=timer.case_id,
        cancel_when=timer.cancel_when,
        since=timer.since,
    )
