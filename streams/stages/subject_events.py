"""Stores recent events of a subject, because one may take back a decision that does not wait yet.

It is part of the act stage. A case that is still being decided does not know what its customer wrote meanwhile. So
`newer_events` keeps the last events of each subject whose type any charter names in `reconsider_on`, and a decision is
compared with them before it begins to wait for a person.
"""

from pydantic import BaseModel

from nightdesk.processors.playbook.playbook_run import bounded
from nightdesk.schemas.records import Event, SubjectEvent
from nightdesk.streams.api import Clock, Delivery, StagedWrites, Table
from nightdesk.streams.stages.held_decisions import Held

# For one subject.
EVENTS_AT_MOST = 20
DATA_BYTES_AT_MOST = 16_000
# Longer than a case may wait before it is decided, unless its agent is paused for weeks.
KEPT_S = 30 * 86_400


class NewerEvents(BaseModel):
    """The last events of a subject, in the order in which they came."""

    events: tuple[SubjectEvent, ...] = ()

    def having(self, came: SubjectEvent) -> "NewerEvents":
        """The events with one more; the same object if it is known. Large data is cut and kept as text."""
        event = came.event
        if any((known.event.source, known.event.id) == (event.source, event.id) for known in self.events):
            return self
        came = came.model_copy(
            update={"event": event.model_copy(update={"data": bounded(event.data, DATA_BYTES_AT_MOST)})}
        )
        return NewerEvents(events=(*self.events, came)[-EVENTS_AT_MOST:])


class SubjectEvents:
    """The table `newer_events`, by subject."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.table = Table("newer_events", NewerEvents)

    def remember(self, delivery: Delivery[SubjectEvent], writes: StagedWrites) -> None:
        """Store an event."""
        came = delivery.record
        before = self.table.get(delivery.partition, came.subject) or NewerEvents()
        after = before.having(came)
        if after is not before:
            self.table.put(writes, came.subject, after, self._clock().timestamp() + KEPT_S)

    def one_that_takes_back(self, held: Held, partition: int) -> Event | None:
        """The first event since the case came that is a reason to decide again; None if there is none."""
        known = self.table.get(partition, held.decision.subject) or NewerEvents()
        return next((came.event for came in known.events if held.is_taken_back_by(came.event, came.received_at)), None)
