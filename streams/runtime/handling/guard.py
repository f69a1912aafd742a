"""The guard around every record of every stage, with one of the two broad `except`s of the program (the codec has the
other).

A record ends in one of three ways: staged writes to commit; a dead letter to commit; or the process exits with the
offset uncommitted (`Unavailable`: the record is fine, but something that we need is away).
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from nightdesk.messaging.partitions import partition_of
from nightdesk.schemas import bounds
from nightdesk.schemas.codec import Codec, RegistryUnavailable
from nightdesk.schemas.dead_letters import replay_of
from nightdesk.schemas.records import DeadLetter, Record
from nightdesk.schemas.reoffers import offered_to
from nightdesk.schemas.topics import INGEST
from nightdesk.streams.api.stage import AsyncHandler, Delivery, QueueOf, Route
from nightdesk.streams.api.staged_writes import StagedWrites
from nightdesk.streams.metrics import DEAD_LETTERS, FORWARDED
from nightdesk.streams.runtime.handling import quarantined
from nightdesk.streams.runtime.handling.dead_letters import Quarantined, RecordFailure, letter_id, send_to_dlq
from nightdesk.streams.runtime.handling.delivery import RawEvent, trace_headers
from nightdesk.streams.runtime.handling.origins import origin_of_record
from nightdesk.streams.runtime.handling.parking import Parking
from nightdesk.streams.runtime.handling.queues import BlockedKey, QueueFull
from nightdesk.streams.runtime.handling.repartitioning import (
    check_partition,
    forward,
    may_be_forwarded,
    origin_of,
    record_key,
)
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop
from nightdesk.streams.runtime.process.pause import Pause
from nightdesk.streams.runtime.process.ratio import FailureRatio

# What handlers raise for an invalid record: their own errors and those of parsing.
THE_RECORDS_FAULT = (ValueError, QueueFull)

log = logging.getLogger(__name__)


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
        self._stage = stage
        self._topic_prefix = policy.topic_prefix
        self._routes: Mapping[str, Route] = {policy.topic_prefix + route.topic.name: route for route in routes}
        self._codec = codec
        self._clock = policy.clock
        self._partitions = policy.partitions
        self.pause = Pause(stage, FailureRatio(policy.dead_letters))
        self._dead_letter_bytes = policy.dead_letter_bytes
        self._parking = parking

    def handle(
        self, event: RawEvent, turn: BlockedKey | None = None, *, waited: bool = False
    ) -> StagedWrites | Callable[[], Awaitable[StagedWrites]]:
        """The staged writes of one record, or the async handler that produces them. `turn` is the place of a parked
        record that may run; a record that has `waited` is handled even if what it needs is still missing.
        """
        route, writes, record = self._routes[event.topic], self._changes(event), None
        try:
            if self._is_end(event, writes):
                return writes
            if event.unreadable:
                raise Unreadable(event.unreadable)
            bounds.check(event.key, event.value, event.headers, route.topic.value_bytes)
            if not waited and self._codec.must_ask(event.value):
                return partial(self._after, partial(self._codec.ask, event.value), event, turn)
            record = self._codec.decode(route.topic.record, event.value)
            wait = route.waits_for(record, event.partition) if route.waits_for is not None and not waited else None
            if wait is not None:
                return partial(self._after, wait, event, turn)
            if not self._is_its_turn(event, route, record, writes, turn):
                return writes
            if self._is_elsewhere(event, route, record):
                self._forward(event, record_key(route.topic, record), writes)
                return writes
            pending = route.handler(self._delivery(event, route, record, writes), writes)
            if pending is not None:
                send_to_dlq = partial(self._send_to_dlq, event, route, record, turn)
                return partial(self._run_async, pending, writes, origin_of_record(record), send_to_dlq)
            self.pause.done(origin_of_record(record))
        except Exception as error:  # noqa: BLE001 - the guard: nothing may escape
            writes = self._send_to_dlq(event, route, record, turn, error)
        return writes

    async def _after(self, wait: AsyncHandler, event: RawEvent, turn: BlockedKey | None) -> StagedWrites:
        try:
            await wait()
        except RegistryUnavailable as error:
            fail_stop(ExitCode.UNAVAILABLE, str(error))
        answer = self.handle(event, turn, waited=True)
        return answer if isinstance(answer, StagedWrites) else await answer()

    async def _run_async(
        self,
        pending: AsyncHandler,
        writes: StagedWrites,
        origin: str,
        send_to_dlq: Callable[[Exception], StagedWrites],
    ) -> StagedWrites:
        """Cancellation passes through: the record will be redelivered."""
        try:
            await pending()
            self.pause.done(origin)
        except Exception as error:  # noqa: BLE001 - the guard: nothing may escape
            return send_to_dlq(error)
        return writes

    def writes(self, partition: int) -> StagedWrites:
        """Empty staged writes of a partition, for a timer tick."""
        return StagedWrites(self._codec, self._topic_prefix, partition)

    def _changes(self, event: RawEvent) -> StagedWrites:
        headers = trace_headers(event.headers, event.topic, event.partition, event.offset)
        return StagedWrites(self._codec, self._topic_prefix, event.partition, headers)

    def _is_elsewhere(self, event: RawEvent, route: Route, record: Record | None) -> bool:
        """Whether an event is in another partition than its subject's. One that cannot be decoded is checked by its
        key.
        """
        if route.topic is not INGEST:
            return False
        key = (event.key or b"") if record is None else record_key(route.topic, record)
        return bool(key) and partition_of(key, self._partitions) != event.partition

    def _forward(self, event: RawEvent, key: bytes, writes: StagedWrites) -> None:
        forward(writes, event, key, partition_of(key, self._partitions))
        FORWARDED.labels(stage=self._stage, topic=event.topic.removeprefix(self._topic_prefix)).inc()

    def _forwards_unread(self, event: RawEvent, route: Route, writes: StagedWrites) -> bool:
        """A record that cannot be decoded may block its key. If so, it is forwarded to the key's partition."""
        if not event.key or route.queue_of is None or not self._is_elsewhere(event, route, None):
            return False
        if route.queue_of(None, event.key) is None or not may_be_forwarded(event, event.key):
            return False
        self._forward(event, event.key, writes)
        return True

    def _queue_of(self, event: RawEvent, route: Route, record: Record | None) -> QueueOf | None:
        """A record in the wrong partition neither waits nor blocks: its queue is in the right partition."""
        return None if self._is_elsewhere(event, route, record) else route.queue_of

    def _delivery(self, event: RawEvent, route: Route, record: Record, writes: StagedWrites) -> Delivery[Any]:
        if route.makes_dead_letters:
            check_partition(route.topic, record, event, self._partitions)
        replay = replay_of(event.headers)
        delivery = Delivery(record, route.topic, event.partition, event.offset, writes.traceparent)
        if replay is not None:
            delivery = delivery._replace(replay_of=replay.letter_id, attempts=1 + replay.attempts)
        if route.topic is INGEST:
            delivery = delivery._replace(origin=origin_of(event), offered_to=offered_to(event.headers))
        return delivery

    def _is_end(self, event: RawEvent, writes: StagedWrites) -> bool:
        return self._parking is not None and event.value is None and self._parking.is_end(event, writes)

    def _is_its_turn(
        self, event: RawEvent, route: Route, record: Record, writes: StagedWrites, turn: BlockedKey | None
    ) -> bool:
        if self._parking is None:
            return True
        if turn is None:
            return self._parking.may_run(event, record, self._queue_of(event, route, record), writes)
        writes.after_commit = partial(self._parking.leave, turn=turn)
        return True

    def _send_to_dlq(
        self, event: RawEvent, route: Route, record: Record | None, turn: BlockedKey | None, error: Exception
    ) -> StagedWrites:
        if isinstance(error, RegistryUnavailable | Unavailable):
            fail_stop(ExitCode.UNAVAILABLE, str(error))
        writes = self._changes(event)
        if not route.makes_dead_letters:
            log.warning("a record of %s is skipped at %d:%d: %r", event.topic, event.partition, event.offset, error)
            return writes
        try:
            if record is None and turn is None and self._forwards_unread(event, route, writes):
                return writes
            attempted = f"read as {route.topic.record.__name__}" if record is None else route.handler.__qualname__
            if self._parking is not None and turn is None:
                turn = self._parking.place(event, record, self._queue_of(event, route, record), writes)
            token, at_most = b"", self._dead_letter_bytes
            if self._parking is not None and turn is not None:
                token = self._parking.release_token(writes, turn, letter_id(event, route.topic))
            failure = RecordFailure(self._stage, route.topic, attempted, error, record, self._clock(), token, at_most)
            letter = send_to_dlq(writes, event, failure)
            if self._parking is not None and turn is not None:
                self._parking.block_queue(writes, turn, letter, route.topic, token)
        except Exception as second:  # noqa: BLE001 - the guard: a dead letter that cannot be made must not lose the record
            fail_stop(ExitCode.DEAD_LETTER_FAILED, f"{second!r} while sending {error!r} to the DLQ")
        DEAD_LETTERS.labels(stage=self._stage, topic=route.topic.name, error=type(error).__name__).inc()
        self._tell_pause(letter, record, error)
        return writes

    async def read(self, event: RawEvent) -> Record | None:
        """Like `quarantined.read`."""
        return await quarantined.read(event, self._routes[event.topic].topic, self._codec, self._partitions)

    def quarantine(self, event: RawEvent, record: Record | None) -> StagedWrites:
        """The dead letter of a record that ends the process whenever it is processed. It blocks no queue, because
        looking for its queue could end the process, too.
        """
        route, writes = self._routes[event.topic], self._changes(event)
        error, at_most = Quarantined(quarantined.message(record)), self._dead_letter_bytes
        attempted = route.handler.__qualname__
        failure = RecordFailure(self._stage, route.topic, attempted, error, record, self._clock(), b"", at_most)
        send_to_dlq(writes, event, failure)
        DEAD_LETTERS.labels(stage=self._stage, topic=route.topic.name, error=type(error).__name__).inc()
        return writes

    def _tell_pause(self, letter: DeadLetter, record: Record | None, error: Exception) -> None:
        """Tell the pause whether the record or its handler is at fault. Replays are ignored, because a person chose
        them and watches them.
        """
        if letter.replay_of is not None:
            return
        if record is None or isinstance(error, THE_RECORDS_FAULT):
            self.pause.refused()
        else:
            self.pause.failed_at(origin_of_record(record), f"{letter.error}: {letter.message}")
