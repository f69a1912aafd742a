"""The guard around every record of every stage, with one of the two broad `except`s of the program (the codec has the
other).

A record ends in one of three ways: staged writes to commit; a dead letter to commit; or the process exits with the
offset uncommitted (`Unavailable`: the record is fine, but something that we need is away).
"""

from collections.abc import Awaitable, Callable, Mapping, Set
from functools import partial
from typing import Any

from nightdesk.schemas import bounds
from nightdesk.schemas.codec import Codec, RegistryUnavailable
from nightdesk.schemas.dead_letters import replay_of
from nightdesk.schemas.records import AuditKind, Record
from nightdesk.schemas.reoffers import offered_to
from nightdesk.schemas.topics import INGEST
from nightdesk.streams.api.stage import AsyncHandler, Delivery, Route
from nightdesk.streams.api.staged_writes import StagedWrites
from nightdesk.streams.runtime.handling import quarantined
from nightdesk.streams.runtime.handling.delivery import RawEvent, trace_headers
from nightdesk.streams.runtime.handling.failed_records import FailedRecords, RecordInHand
from nightdesk.streams.runtime.handling.origins import origin_of_record
from nightdesk.streams.runtime.handling.parking import Parking
from nightdesk.streams.runtime.handling.queues import BlockedKey
from nightdesk.streams.runtime.handling.repartitioning import (
    Repartitioner,
    check_partition,
    first_stored_at,
    origin_of,
    record_key,
)
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop
from nightdesk.streams.runtime.process.pause import Pause
from nightdesk.streams.runtime.process.ratio import FailureRatio


class Unreadable(ValueError):
    """The data at that offset cannot be read, or is too large when unpacked."""


class Unavailable(Exception):
    """Something that every record needs is away; stopping and retrying loses nothing."""


class Guard:
    """Decodes records, calls handlers, and turns every error into one of the three ends."""

    def __init__(
        self,
        stage: str,
        routes: tuple[Route, ...],
        codec: Codec,
        policy: WorkerPolicy,
        parking: Parking | None = None,
    ) -> None:
        self._topic_prefix = policy.topic_prefix
        self._routes: Mapping[str, Route] = {policy.topic_prefix + route.topic.name: route for route in routes}
        self._codec = codec
        self._partitions = policy.partitions
        self._repartitioner = Repartitioner(stage, policy.topic_prefix, policy.partitions)
        self.pause = Pause(stage, FailureRatio(policy.dead_letters))
        self._parking = parking
        self._failed_records = FailedRecords(stage, policy, self.pause, parking, self._repartitioner)

    def handle(
        self, event: RawEvent, turn: BlockedKey | None = None, *, waited: bool = False
    ) -> StagedWrites | Callable[[], Awaitable[StagedWrites]]:
        """The staged writes of one record, or the async handler that produces them. `turn` is the place of a parked
        record that may run; a record that has `waited` is handled even if what it needs is still missing.
        """
        route = self._routes[event.topic]
        if route.audit_kinds is not None and not self._is_needed(event, route.audit_kinds):
            return self.writes(event.partition)
        writes, record = self._new_writes(event), None
        try:
            if event.value is None and self._is_end(event, writes):
                return writes
            _check_bounds(event, route)
            if not waited and self._codec.must_ask(event.value):
                return partial(self._after, partial(self._codec.ask, event.value), event, turn)
            record = self._codec.decode(route.topic.record, event.value)
            wait = route.waits_for(record, event.partition) if route.waits_for is not None and not waited else None
            if wait is not None:
                return partial(self._after, wait, event, turn)
            # A record in the wrong partition neither waits nor blocks, because its queue is in the right partition.
            is_elsewhere = self._repartitioner.is_elsewhere(event, route.topic, record)
            queue_of = None if is_elsewhere else route.queue_of
            if self._parking is not None and turn is not None:
                writes.after_commit = partial(self._parking.leave, turn=turn)
            elif self._parking is not None and not self._parking.may_run(event, record, queue_of, writes):
                return writes
            if is_elsewhere:
                self._repartitioner.forward(event, record_key(route.topic, record), writes)
                return writes
            pending = route.handler(self._delivery(event, route, record, writes), writes)
            if pending is not None:
                return partial(self._run_async, pending, writes, RecordInHand(event, route, record, turn))
            self.pause.done(origin_of_record(record))
        except Exception as error:  # noqa: BLE001 - the guard: nothing may escape
            return self._send_to_dlq(RecordInHand(event, route, record, turn), error)
        return writes

    def _is_needed(self, event: RawEvent, kinds: Set[AuditKind]) -> bool:
        """Whether an audit record is of one of the kinds, or has to be decoded to know it."""
        kind = self._codec.audit_kind(event.value)
        return kind is None or kind in kinds

    async def _after(self, wait: AsyncHandler, event: RawEvent, turn: BlockedKey | None) -> StagedWrites:
        try:
            await wait()
        except RegistryUnavailable as error:
            fail_stop(ExitCode.UNAVAILABLE, str(error))
        answer = self.handle(event, turn, waited=True)
        return answer if isinstance(answer, StagedWrites) else await answer()

    async def _run_async(self, pending: AsyncHandler, writes: StagedWrites, in_hand: RecordInHand) -> StagedWrites:
        """Cancellation passes through: the record will be redelivered."""
        try:
            await pending()
            self.pause.done(origin_of_record(in_hand.record))
        except Exception as error:  # noqa: BLE001 - the guard: nothing may escape
            return self._send_to_dlq(in_hand, error)
        return writes

    def writes(self, partition: int) -> StagedWrites:
        """Empty staged writes of a partition, for a tick, or for a record from which nothing follows."""
        return StagedWrites(self._codec, self._topic_prefix, partition)

    def _new_writes(self, event: RawEvent) -> StagedWrites:
        topic, partition = event.tp
        headers = trace_headers(event.headers, topic, partition, event.offset)
        return StagedWrites(self._codec, self._topic_prefix, partition, headers)

    def _delivery(self, event: RawEvent, route: Route, record: Record, writes: StagedWrites) -> Delivery[Any]:
        if route.makes_dead_letters:
            check_partition(route.topic, record, event, self._partitions)
        replay = replay_of(event.headers)
        is_event = route.topic is INGEST
        return Delivery(
            record,
            route.topic,
            event.partition,
            event.offset,
            writes.traceparent,
            replay.letter_id if replay else None,
            origin_of(event) if is_event else "",
            offered_to(event.headers) if is_event else "",
            1 + replay.attempts if replay else 1,
            # What a person sends again begins anew.
            event.stored_at if replay or offered_to(event.headers) else first_stored_at(event),
        )

    def _is_end(self, event: RawEvent, writes: StagedWrites) -> bool:
        return self._parking is not None and self._parking.is_end(event, writes)

    def _send_to_dlq(self, in_hand: RecordInHand, error: Exception) -> StagedWrites:
        """The writes with the dead letter. Exits if something that every record needs is away, or if no dead letter can
        be made.
        """
        if isinstance(error, RegistryUnavailable | Unavailable):
            fail_stop(ExitCode.UNAVAILABLE, str(error))
        writes = self._new_writes(in_hand.event)
        try:
            self._failed_records.send_to_dlq(in_hand, error, writes)
        except Exception as second:  # noqa: BLE001 - the guard: a dead letter that cannot be made must not lose the record
            fail_stop(ExitCode.DEAD_LETTER_FAILED, f"{second!r} while sending {error!r} to the DLQ")
        return writes

    async def read(self, event: RawEvent) -> Record | None:
        """Like `quarantined.read`."""
        return await quarantined.read(event, self._routes[event.topic].topic, self._codec, self._partitions)

    def quarantine(self, event: RawEvent, record: Record | None) -> StagedWrites:
        """Like `FailedRecords.quarantine`."""
        writes = self._new_writes(event)
        self._failed_records.quarantine(event, self._routes[event.topic], record, writes)
        return writes


def _check_bounds(event: RawEvent, route: Route) -> None:
    """Raises `ValueError` for a record that cannot be read, or is too large to decode."""
    if event.unreadable:
        raise Unreadable(event.unreadable)
    bounds.check(event.key, event.value, event.headers, route.topic.value_bytes)
