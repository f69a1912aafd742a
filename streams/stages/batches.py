"""The batches of the routes, and what they are about, in two tables of the notify stage.

`told` has the known notices, so that a redelivered one counts once. It also has what they are about, until somebody
takes care of that. Everything about a route is in one partition.
"""

from collections.abc import Iterator
from datetime import datetime

from pydantic import BaseModel

from nightdesk.processors.notifications import TOLD_ONCE, Batch, RoutePolicy
from nightdesk.schemas import ids
from nightdesk.schemas.records import Notification
from nightdesk.schemas.topics import TIMERS
from nightdesk.streams.api import Clock, Commit, StagedWrites, Table
from nightdesk.streams.stages.notification_records import batch_id_of, batch_of, collecting_key, last_key, timer_for
from nightdesk.streams.stages.route_gauges import RouteGauges

BATCH_TABLES = ("batches", "told")
TOLD_FOR_S = 2 * 86_400
# After this time a notice that nobody took care of is not passed on any more.
OPEN_FOR_S = 30 * 86_400
BATCH_KEPT_S = 30 * 86_400
# The number of messages about one thing, such as a decision and its reminders, that its end closes; older ones stay
# open.
MESSAGES_AT_MOST = 50


class Told(BaseModel):
    """A known notice, or what a notice is about: its batch, its earlier batches, and whether (since when) it is over.
    Of what was over before a route was told of it there is no batch.
    """

    batch_id: str = ""
    before: tuple[str, ...] = ()
    is_over: bool = False
    over_at: datetime | None = None

    def again(self, batch_id: str) -> "Told":
        """The entry with a newer batch. The earlier ones stay, also if what they told was over: a message that was not
        sent yet is closed later.
        """
        before = tuple(other for other in (*self.before, self.batch_id) if other not in ("", batch_id))
        return Told(batch_id=batch_id, before=before[-MESSAGES_AT_MOST:])

    def over(self, at: datetime) -> "Told":
        """The entry after somebody took care of it."""
        return self.model_copy(update={"is_over": True, "over_at": at})


class Batches:
    """The batches by route."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._batches = Table("batches", Batch)
        self._told = Table("told", Told)
        self._gauges = RouteGauges()
        self.tables = (self._batches, self._told)

    def recovered(self) -> Iterator[None]:
        """Derive the states of the routes, in slices."""
        self._gauges.clear()
        for entries in self._batches.slices():
            for _, _, batch in entries:
                self._gauges.note(batch)
            yield

    def tick(self) -> None:
        self._gauges.measure(self._clock())

    def of(self, notice: Notification, writes: StagedWrites) -> Batch | None:
        """The batch that the notice names, if it takes no further notices."""
        return self._batches.get(writes.partition, notice.batch)

    def keep(self, batch: Batch, writes: StagedWrites) -> None:
        self._gauges.note(batch)
        self._batches.put(writes, batch.batch_id, batch, self._clock().timestamp() + BATCH_KEPT_S)

    def has(self, notice: Notification, writes: StagedWrites) -> bool:
        """Whether the notice was collected before."""
        return self._told.get(writes.partition, notice.notification_id) is not None

    def was_told(self, end: Notification, writes: StagedWrites) -> bool:
        """Whether the route was told of what ends, and not yet of its end. True also if the end comes again."""
        return self.has(end, writes) or self.is_open(end.about, end.route, writes)

    def collect(self, notice: Notification, policy: RoutePolicy, writes: StagedWrites) -> None:
        """Add the notice to the batch of its class, or begin one."""
        now, key = self._clock(), collecting_key(notice)
        batch = self._batches.get(writes.partition, key)
        if self.has(notice, writes):
            if batch is not None and batch.batch_id == batch_id_of(notice):  # the timer may not have been emitted
                writes.emit(TIMERS, timer_for(batch, "send", batch.due_at, writes))
            return
        is_told = notice.kind == "tell" and notice.event_class in TOLD_ONCE
        if is_told and self.is_open(notice.about, notice.route, writes):
            return
        if batch is None:
            batch = self._begin(notice, policy, writes)
        self._batches.put(writes, key, batch.having(notice))
        told = Told(batch_id=batch.batch_id)
        self._told.put(writes, notice.notification_id, told, now.timestamp() + TOLD_FOR_S)
        if notice.about and notice.kind == "tell":
            self._open(notice.about, batch, writes)

    def _begin(self, notice: Notification, policy: RoutePolicy, writes: StagedWrites) -> Batch:
        """A batch that begins with the notice, and the timer that sends it."""
        now, event_class = self._clock(), notice.event_class
        key = last_key(notice.route, event_class)
        last = self._batches.get(writes.partition, key)
        run = last.run + 1 if last and policy.follows(event_class, last.due_at, last.run, now) else 0
        batch = batch_of(notice, policy.due_at(event_class, now, run)).model_copy(update={"run": run})
        writes.emit(TIMERS, timer_for(batch, "send", batch.due_at, writes))
        self._batches.put(writes, key, batch, batch.due_at.timestamp() + 2 * policy.collects_s(event_class, run))
        return batch

    async def due(self, notice: Notification, commit: Commit, writes: StagedWrites) -> Batch | None:
        """The batch that is due. It takes no further notices before it is sent."""
        batch = self.of(notice, writes)
        if batch is not None:
            return batch
        collecting = self._batches.get(writes.partition, collecting_key(notice))
        if collecting is None or collecting.batch_id != notice.batch:
            return None
        batch = collecting.model_copy(update={"state": "sending"})
        durable = writes.empty()
        self._batches.delete(durable, collecting_key(notice))
        self.keep(batch, durable)
        await commit(durable)
        return batch

    async def taken_over(self, notice: Notification, commit: Commit, writes: StagedWrites) -> Batch:
        """The batch of another route, as one of this route's own."""
        batch = self._batches.get(writes.partition, notice.notification_id)
        if batch is not None:
            return batch
        batch = Batch.model_validate_json(notice.batch).passed_to(notice, self._clock())
        over = {about for about in batch.about if about in batch.over or self._is_over_since(about, batch, writes)}
        batch = batch.model_copy(update={"over": tuple(sorted(over))})
        durable = writes.empty()
        self.keep(batch, durable)
        for about in dict.fromkeys(batch.about):
            if about not in over:  # nothing would ever close it
                self._open(about, batch, durable)
        await commit(durable)
        return batch

    def _is_over_since(self, about: str, batch: Batch, writes: StagedWrites) -> bool:
        """Whether this ended after the batch's last notice: its end may come to a route before the batch does."""
        told = self._told.get(writes.partition, ids.composite_key("open", about, batch.route))
        return told is not None and told.is_over and told.over_at is not None and told.over_at >= batch.last_at

    def close(self, notice: Notification, writes: StagedWrites) -> tuple[Batch, ...]:
        """Note that what the notice names is over. Returns the batches about it, newest last."""
        key = ids.composite_key("open", notice.about, notice.route)
        told = self._told.get(writes.partition, key) or Told()
        # It is marked and not deleted, so that a redelivery of the notice has the same result; and marked if the route
        # was not told of it, because another one may pass it on.
        self._told.put(writes, key, told.over(notice.time), self._clock().timestamp() + TOLD_FOR_S)
        batch_ids = (batch_id for batch_id in (*told.before, told.batch_id) if batch_id)
        found = (self._batches.get(writes.partition, batch_id) for batch_id in batch_ids)
        return tuple(batch for batch in found if batch is not None)

    def still_open(self, batch: Batch, writes: StagedWrites) -> list[str]:
        """What the batch is about and nobody has taken care of yet."""
        abouts = (about for about in dict.fromkeys(batch.about) if about not in batch.over)
        return [about for about in abouts if self.is_open(about, batch.route, writes)]

    def over(self, batch: Batch, writes: StagedWrites) -> tuple[str, ...]:
        """What the batch is about and is over."""
        still_open = self.still_open(batch, writes)
        return tuple(about for about in dict.fromkeys(batch.about) if about not in still_open)

    def is_over(self, batch: Batch, writes: StagedWrites, closed: str = "") -> bool:
        """Whether everything that the batch is about has been taken care of, including what these writes have
        `closed`.
        """
        return batch.can_be_over and not {*self.still_open(batch, writes)} - {closed}

    def _open(self, about: str, batch: Batch, writes: StagedWrites) -> None:
        key = ids.composite_key("open", about, batch.route)
        told = (self._told.get(writes.partition, key) or Told()).again(batch.batch_id)
        self._told.put(writes, key, told, self._clock().timestamp() + OPEN_FOR_S)

    def is_open(self, about: str, route: str, writes: StagedWrites) -> bool:
        """Whether the route was told of this, and it is not over."""
        told = self._told.get(writes.partition, ids.composite_key("open", about, route))
        return told is not None and not told.is_over
