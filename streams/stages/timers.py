"""A timer as the later stage takes it. Called by the stages that put something off."""

from processors.playbook import Timer
from schemas.codec import Codec
from schemas.records import Reminder
from schemas.topics import BY_NAME


def as_reminder(timer: Timer, codec: Codec, traceparent: str) -> Reminder:
    """The timer with its record encoded, and the key that its topic wants."""
    topic = BY_NAME[timer.topic]
    return Reminder(
        reminder_id=timer.reminder_id,
        subject=timer.subject,
        due_at=timer.due_at,
        topic=topic.name,
        key=str(getattr(timer.record, topic.key)),
        value=codec.encode(timer.record),
        traceparent=traceparent,
        reason=timer.reason,
        case_id=timer.case_id,
    )
