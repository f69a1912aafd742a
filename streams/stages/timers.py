"""Timers: stores each timer until it is due, and then emits its record on the topic that it names.

The table `timers` has every timer that is not due and, for a day, the ids of those that were emitted, so that the same
timer again (a redelivery, a stage that repeats itself) is recognised. A timer is marked as emitted after its record is
durable, because no record would be redelivered to emit it again. A process that dies in between emits it twice, and
readers drop the second record with an id.

A timer with `cancel_when` is cancelled by an event of its subject that came after `since`. Ingest sends the events that
may cancel something; `subject_events` has the last ones of each subject, because one may come before the timer that it
cancels.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from nightdesk.processors.provenance import Forged
from nightdesk.schemas import audit_records
from nightdesk.schemas.audit import CancelledDetail
from nightdesk.schemas.persons import shown_person
from nightdesk.schemas.records import AuditRecord, Event, Timer
from nightdesk.schemas.topics import ACT, BUDGET, BY_NAME, DECIDE, INGEST, NOTIFICATIONS, RATE_GRANTS, TIMERS
from nightdesk.streams.api import AsyncHandler, Clock, Delivery, Route, Stage, StagedWrites, Table
from nightdesk.streams.stage_spec import StageSpec, TableSpec
from nightdesk.streams.stages.due_times import DueTimes
from nightdesk.streams.stages.timer_states import CancellingEvents, TimerState, waiting

FIRED_FOR_S = 86_400
# At most this many timers in a tick, so that a thousand that are due at once do not block the partition.
FIRED_A_TICK = 500
# How long an event that may cancel timers is kept.
REMEMBERED_S = 7 * 86_400
# The topics for which stages of ours set timers: follow-ups, the next step of a case that waits, retries, grants and
# messages. Programs before the admission queue set timers for `decide`.
TIMED_TOPICS = frozenset(topic.name for topic in (INGEST, BUDGET, ACT, RATE_GRANTS, NOTIFICATIONS, DECIDE))


TABLES = {
    "timers": TableSpec(
        "each timer; the ids of those that fired or were cancelled",
        "until it is due, and 1 day more",
        "the same timer that is set again fires again",
    ),
    "subject_events": TableSpec(
        "the last events of a subject that may cancel a follow-up",
        "7 days",
        "they cancel nothing",
    ),
}


class Timers(Stage):
    """The timers stage."""

    name = "timers"
    table_names = tuple(TABLES)
    # A clock that is hours ahead for seconds would fire every timer of those hours.
    ticks_by_any_clock = False

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._due = DueTimes()
        # The waiting timers by subject that an event may cancel.
        self._cancellable: dict[tuple[int, str], set[str]] = {}
        self._timers = Table("timers", TimerState)
        self._events = Table("subject_events", CancellingEvents)
        self.tables = (self._timers, self._events)

    def routes(self) -> tuple[Route, ...]:
        return (Route(TIMERS, self.take),)

    def recovered(self) -> Iterator[None]:
        """Queue the waiting timers again."""
        self._due.clear()
        self._cancellable = {}
        for entries in self._timers.slices():
            for partition, timer_id, timer in entries:
                if timer.state == "waiting":
                    self._wait_for(partition, timer_id, timer)
            yield

    def take(self, delivery: Delivery[Timer], writes: StagedWrites) -> AsyncHandler | None:
        """Handle a timer, or a record that may cancel timers."""
        match delivery.record.kind:
            case "set":
                self.set(delivery, writes)
            case "event" if writes.codec.must_ask(delivery.record.value):
                return partial(self._ask_first, delivery, writes)
            case "event":
                self._event_came(delivery, writes)
            case "cancel":
                self._cancel_for_person(delivery, writes)
        return None

    async def _ask_first(self, delivery: Delivery[Timer], writes: StagedWrites) -> None:
        """Ask for the schema of the event in the record off the loop, then handle it."""
        await writes.codec.ask(delivery.record.value)
        self._event_came(delivery, writes)

    def set(self, delivery: Delivery[Timer], writes: StagedWrites) -> None:
        """Store a timer, unless it is known. Raises `Forged` for a topic for which no stage sets timers."""
        timer = delivery.record
        if timer.topic not in TIMED_TOPICS:
            raise Forged(f"no stage sets timers for {timer.topic!r}")
        known = self._timers.get(delivery.partition, timer.timer_id)
        if known is not None:
            if known.state == "cancelled":
                writes.audit(_cancelled(timer.timer_id, known, delivery.traceparent, self._clock()))
            return
        state = waiting(timer)
        came = self._events.get(delivery.partition, timer.subject) if timer.cancel_when else None
        for one in came.events if came else ():
            if state.is_cancelled_by(one.event, one.at):
                self._cancel(timer.timer_id, state, writes, event_id=one.event.id)
                return
        self._timers.put(writes, timer.timer_id, state)
        self._wait_for(delivery.partition, timer.timer_id, state)

    def _event_came(self, delivery: Delivery[Timer], writes: StagedWrites) -> None:
        """Cancel the timers that the event cancels. A redelivered record cancels the same ones."""
        partition, at = delivery.partition, delivery.record.due_at
        event = writes.codec.decode(Event, delivery.record.value)
        if event.subject != delivery.record.subject:
            raise ValueError(f"an event of {event.subject!r} is no event of {delivery.record.subject!r}")
        came = self._events.get(partition, event.subject) or CancellingEvents()
        known = came.known(event)
        timers = known.cancelled if known else tuple(self._cancelled_by(partition, event, at))
        for timer_id in timers:
            if (timer := self._timers.get(partition, timer_id)) is not None:
                self._cancel(timer_id, timer, writes, event_id=event.id)
        if known is None:
            expires_at = self._clock().timestamp() + REMEMBERED_S
            self._events.put(writes, event.subject, came.having(event, at, timers), expires_at)

    def _cancelled_by(self, partition: int, event: Event, at: datetime) -> Iterator[str]:
        for timer_id in sorted(self._cancellable.get((partition, event.subject), ())):
            timer = self._timers.get(partition, timer_id)
            if timer is not None and timer.state == "waiting" and timer.is_cancelled_by(event, at):
                yield timer_id

    def _cancel_for_person(self, delivery: Delivery[Timer], writes: StagedWrites) -> None:
        """Cancel a follow-up for a person. Any other timer cannot be cancelled, because a case needs it to continue."""
        order, trace = delivery.record, delivery.traceparent
        timer = self._timers.get(delivery.partition, order.timer_id)
        if timer is not None and timer.subject == order.subject and timer.topic == INGEST.name:
            self._cancel(order.timer_id, timer, writes, person=order.person, reason=order.reason)
        elif timer is not None and timer.state == "cancelled" and timer.person == order.person:
            writes.audit(_cancelled(order.timer_id, timer, trace, self._clock()))
        else:
            who = shown_person(order.person)
            reason = f"{who} cannot cancel {order.timer_id}: no follow-up of the subject waits under this id"
            void = (order.subject, order.timer_id, order.person, reason, trace, self._clock())
            writes.audit(audit_records.cancel_void(*void))

    def _cancel(
        self,
        timer_id: str,
        timer: TimerState,
        writes: StagedWrites,
        *,
        event_id: str = "",
        person: str = "",
        reason: str = "",
    ) -> None:
        now = self._clock()
        if timer.state == "waiting":
            self._forget(writes.partition, timer_id, timer)
            about = {"event_id": event_id, "person": person, "reason": reason or timer.reason}
            dropped: dict[str, object] = {"state": "cancelled", "value": b"", "topic": "", "cancel_when": ()}
            timer = timer.model_copy(update={**about, **dropped})
            self._timers.put(writes, timer_id, timer, max(now.timestamp(), timer.due) + FIRED_FOR_S)
        if timer.state == "cancelled":
            writes.audit(_cancelled(timer_id, timer, timer.traceparent, now))

    def _wait_for(self, partition: int, timer_id: str, timer: TimerState) -> None:
        self._due.set(partition, timer_id, timer.due)
        if timer.cancel_when:
            self._cancellable.setdefault((partition, timer.subject), set()).add(timer_id)

    def tick(self, partition: int, writes: StagedWrites) -> None:
        """Emit due timers; delete those emitted long ago."""
        now = self._clock()
        for timer_id in self._due.pop(partition, now.timestamp(), FIRED_A_TICK):
            timer = self._timers.get(partition, timer_id)
            if timer is not None and timer.state == "waiting":
                self._fire(timer_id, timer, writes, now)

    def _fire(self, timer_id: str, timer: TimerState, writes: StagedWrites, now: datetime) -> None:
        writes.continue_trace(timer.traceparent or None)
        writes.send(BY_NAME[timer.topic], timer.key, timer.value)
        fired = TimerState(state="fired", due=timer.due)
        self._timers.put_after_emit(writes, timer_id, fired, now.timestamp() + FIRED_FOR_S)
        self._forget(writes.partition, timer_id, timer)

    def _forget(self, partition: int, timer_id: str, timer: TimerState) -> None:
        """Forget the timer: no event can cancel it any more."""
        others = self._cancellable.get((partition, timer.subject), set()) - {timer_id}
        if others:
            self._cancellable[partition, timer.subject] = others
        else:
            self._cancellable.pop((partition, timer.subject), None)


def _cancelled(timer_id: str, timer: TimerState, traceparent: str | None, now: datetime) -> AuditRecord:
    by = f"event {timer.event_id}" if timer.event_id else shown_person(timer.person)
    due_at = datetime.fromtimestamp(timer.due, UTC)
    detail = CancelledDetail(
        timer_id=timer_id, case_id=timer.case_id, due_at=due_at, event_id=timer.event_id, person=timer.person
    )
    return audit_records.cancelled(timer.subject, detail, f"cancelled by {by}: {timer.reason}", traceparent, now)


SPEC = StageSpec(
    name=Timers.name,
    summary="Stores each timer until it is due, then emits its record.",
    topics=(TIMERS,),
    tables=TABLES,
    build=lambda context: Timers(context.clock),
)
