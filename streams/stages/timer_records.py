"""Creates the records of the timers stage."""

from datetime import datetime

from nightdesk.processors.playbook import TimerRequest
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import Event, Timer
from nightdesk.schemas.topics import BY_NAME, INGEST


def as_timer(timer: TimerRequest, codec: Codec, traceparent: str) -> Timer:
    """The timer with its encoded record, and the key for its topic."""
    topic = BY_NAME[timer.topic]
    return Timer(
        timer_id=timer.timer_id,
        subject=timer.subject,
        due_at=timer.due_at,
        topic=topic.name,
        key=str(getattr(timer.record, topic.key)),
        value=codec.encode(timer.record),
        traceparent=traceparent,
        reason=timer.reason,
        case_id=timer.case_id,
        cancel_when=timer.cancel_when,
        since=timer.since,
    )


def came(event: Event, received_at: datetime, codec: Codec, traceparent: str) -> Timer:
    """The record that sends the timers stage an event, which may cancel timers of its subject."""
    return Timer(
        kind="event",
        timer_id=event.id,
        subject=event.subject,
        due_at=received_at,
        topic=INGEST.name,
        key=event.subject,
        value=codec.encode(event),
        traceparent=traceparent,
        reason=event.type,
    )
