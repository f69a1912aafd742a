"""Turns a record that cannot be handled into a dead letter, which may block the queue of its key.

The guard calls it with the error, and exits if it raises.
"""

import logging
from typing import NamedTuple

from nightdesk.schemas.records import DeadLetter, Record
from nightdesk.streams.api.stage import Route
from nightdesk.streams.api.staged_writes import StagedWrites
from nightdesk.streams.metrics import DEAD_LETTERS
from nightdesk.streams.runtime.handling import quarantined
from nightdesk.streams.runtime.handling.dead_letters import Quarantined, RecordFailure, letter_id, send_to_dlq
from nightdesk.streams.runtime.handling.delivery import RawEvent
from nightdesk.streams.runtime.handling.origins import origin_of_record
from nightdesk.streams.runtime.handling.parking import Parking
from nightdesk.streams.runtime.handling.queues import BlockedKey, QueueFull
from nightdesk.streams.runtime.handling.repartitioning import Repartitioner
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.pause import Pause

# What handlers raise for an invalid record: their own errors and those of parsing.
THE_RECORDS_FAULT = (ValueError, QueueFull)

log = logging.getLogger(__name__)


class RecordInHand(NamedTuple):
    """One record while it is handled. `record` is None if it could not be decoded; `turn` is the place of a parked
    record that may run.
    """

    event: RawEvent
    route: Route
    record: Record | None
    turn: BlockedKey | None


class FailedRecords:
    """The dead letters of one stage."""

    def __init__(
        self, stage: str, policy: WorkerPolicy, pause: Pause, parking: Parking | None, repartitioner: Repartitioner
    ) -> None:
        self._stage = stage
        self._clock = policy.clock
        self._bytes_at_most = policy.dead_letter_bytes
        self._pause = pause
        self._parking = parking
        self._repartitioner = repartitioner

    def send_to_dlq(self, in_hand: RecordInHand, error: Exception, writes: StagedWrites) -> None:
        """Stage the dead letter in `writes`, which are empty, and tell the pause. Raises what making it raises."""
        event, route, record, turn = in_hand
        if not route.makes_dead_letters:
            log.warning("a record of %s is skipped at %d:%d: %r", event.topic, event.partition, event.offset, error)
            return
        undecoded = record is None and turn is None
        if undecoded and self._repartitioner.forward_undecoded(event, route.topic, route.queue_of, writes):
            return
        letter = self._letter(in_hand, error, writes)
        self._count(route, error)
        self._tell_pause(letter, record, error)

    def _letter(self, in_hand: RecordInHand, error: Exception, writes: StagedWrites) -> DeadLetter:
        event, route, record, turn = in_hand
        attempted = f"read as {route.topic.record.__name__}" if record is None else route.handler.__qualname__
        if self._parking is None:
            return send_to_dlq(writes, event, self._failure(route, attempted, error, record))
        turn = turn or self._place(in_hand, self._parking, writes)
        if turn is None:
            return send_to_dlq(writes, event, self._failure(route, attempted, error, record))
        token = self._parking.release_token(writes, turn, letter_id(event, route.topic))
        letter = send_to_dlq(writes, event, self._failure(route, attempted, error, record, token))
        self._parking.block_queue(writes, turn, letter, route.topic, token)
        return letter

    def _place(self, in_hand: RecordInHand, parking: Parking, writes: StagedWrites) -> BlockedKey | None:
        """The place of the record, if it blocks others. One in the wrong partition blocks none: its queue is in the
        right partition.
        """
        event, route, record, _ = in_hand
        is_elsewhere = self._repartitioner.is_elsewhere(event, route.topic, record)
        return parking.place(event, record, None if is_elsewhere else route.queue_of, writes)

    def quarantine(self, event: RawEvent, route: Route, record: Record | None, writes: StagedWrites) -> None:
        """Stage the dead letter of a record that ends the process whenever it is processed. It blocks no queue, because
        looking for its queue could end the process, too.
        """
        error = Quarantined(quarantined.message(record))
        send_to_dlq(writes, event, self._failure(route, route.handler.__qualname__, error, record))
        self._count(route, error)

    def _failure(
        self, route: Route, attempted: str, error: Exception, record: Record | None, token: bytes = b""
    ) -> RecordFailure:
        now, at_most = self._clock(), self._bytes_at_most
        return RecordFailure(self._stage, route.topic, attempted, error, record, now, token, at_most)

    def _count(self, route: Route, error: Exception) -> None:
        DEAD_LETTERS.labels(stage=self._stage, topic=route.topic.name, error=type(error).__name__).inc()

    def _tell_pause(self, letter: DeadLetter, record: Record | None, error: Exception) -> None:
        """Tell the pause whether the record or its handler is at fault. Replays are ignored, because a person chose
        them and watches them.
        """
        if letter.replay_of is not None:
            return
        if record is None or isinstance(error, THE_RECORDS_FAULT):
            self._pause.refused()
        else:
            self._pause.failed_at(origin_of_record(record), f"{letter.error}: {letter.message}")
