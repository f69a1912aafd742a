"""Builds the records of a route: its notices, the batch that collects them, and their timers."""

from datetime import datetime
from typing import Any

from nightdesk.processors.notifications import Batch
from nightdesk.schemas import ids
from nightdesk.schemas.records import Notification, Timer
from nightdesk.schemas.topics import NOTIFICATIONS
from nightdesk.streams.api import StagedWrites


def notification(
    kind: Any, route: str, causes: tuple[str, ...], time: datetime, event_class: str = "", **fields: str
) -> Notification:
    """A record for a route. The same causes give the same id."""
    return Notification(
        notification_id=ids.notification_id(kind, route, *causes),
        route=route,
        kind=kind,
        event_class=event_class,
        time=time,
        **fields,
    )


def batch_of(notice: Notification, due_at: datetime) -> Batch:
    """The batch that begins with the notice and is sent at `due_at`."""
    return Batch(
        batch_id=batch_id_of(notice),
        route=notice.route,
        event_class=notice.event_class,
        first_at=notice.time,
        last_at=notice.time,
        due_at=due_at,
    )


def batch_id_of(notice: Notification) -> str:
    """The id of the batch that begins with the notice."""
    return ids.notification_id("batch", notice.notification_id)


def collecting_key(notice: Notification) -> str:
    """The key of the batch that collects the notices of the route and class."""
    return ids.composite_key("collecting", notice.route, notice.event_class)


def last_key(route: str, event_class: str) -> str:
    """The key of a copy of the last batch of the route and class, as it began."""
    return ids.composite_key("last", route, event_class)


def timer_for(batch: Batch, kind: Any, due_at: datetime, writes: StagedWrites) -> Timer:
    """The timer of a record about the batch, for the same partition. The same cause gives the same timer."""
    causes = (kind, batch.batch_id, str(batch.attempts), batch.due_at.isoformat())
    notice = notification(kind, batch.route, causes, due_at, batch.event_class, batch=batch.batch_id)
    return Timer(
        timer_id=ids.timer_id(*causes),
        subject=batch.route,
        due_at=due_at,
        topic=NOTIFICATIONS.name,
        key=batch.route,
        value=writes.codec.encode(notice),
        traceparent=writes.traceparent,
        reason=f"{kind} a message to {batch.route}",
    )


def passed_on(batch: Batch, route: str, why: str, now: datetime) -> Notification:
    """The batch for another route."""
    notice = notification("pass_on", route, (batch.batch_id, route), now, batch.event_class, text=why)
    return notice.model_copy(update={"batch": batch.model_dump_json()})


def over(batch: Batch, now: datetime) -> Notification:
    """The record that closes the message of a batch, because what it was about is over."""
    return notification("send", batch.route, (batch.batch_id, "over"), now, batch.event_class, batch=batch.batch_id)
