"""Timers, and what cancels them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from nightdesk.schemas.bounds import RECORD_BYTES_AT_MOST, Name, Text
from nightdesk.schemas.records.base import Record


class CancelCondition(Record):
    """An event that cancels a timer: its type, and CEL over `event` if not every event of the type does."""

    type: Name
    when: Text = ""


class Timer(Record):
    """Send `value` to `topic` with `key` when it is due. `topic` is one for which stages set timers, never another one.

    Until then an event of the same subject that came after `since` and meets one of `cancel_when` cancels it. `kind` is
    `set`, or for a record about timers that are set: `cancel` cancels the one with this id, as `person` wants, if it is
    a follow-up (its topic is ingest); the `value` of an `event` is an event about the subject that came at `due_at`.
    """

    kind: Literal["set", "cancel", "event"] = "set"
    timer_id: Name
    subject: Name
    due_at: datetime
    topic: Name
    key: Name
    value: Annotated[bytes, Field(max_length=RECORD_BYTES_AT_MOST)]
    traceparent: Name | None = None
    reason: Text
    case_id: Name | None = None
    cancel_when: tuple[CancelCondition, ...] = ()
    since: datetime | None = None
    person: Text = ""
