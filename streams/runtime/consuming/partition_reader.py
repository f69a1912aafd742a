"""Tracks consumer offsets for each partition: skips duplicates, detects offset gaps, and limits the records in flight.

The broker is asked for the start offset of each partition, because Faust's own may be wrong after a rebalance. The log
decides about a gap.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping

import faust
from aiokafka.errors import IllegalStateError
from faust.types import TP

from nightdesk.streams.metrics import OFFSET_GAPS, RECORDS
from nightdesk.streams.runtime.consuming import offset_gaps
from nightdesk.streams.runtime.consuming.losses import Loss, Losses
from nightdesk.streams.runtime.consuming.offset_commits import OffsetCommits
from nightdesk.streams.runtime.consuming.offset_tracker import OffsetRelation, OffsetTracker
from nightdesk.streams.runtime.consuming.quarantine import Quarantine
from nightdesk.streams.runtime.consuming.rereads import Rereads, RereadVerdict
from nightdesk.streams.runtime.handling.delivery import Finish, RawEvent
from nightdesk.streams.runtime.policy import WorkerPolicy

log = logging.getLogger(__name__)

LAST_COMMITS = 3


class PartitionReader:
    """Offsets of our partitions, and the records in flight. `epoch` counts revocations."""

    def __init__(
        self, stage: str, app: faust.App, policy: WorkerPolicy, commits: OffsetCommits, losses: Losses
    ) -> None:
        self._stage = stage
        self._app = app
        self._policy = policy
        self._commits = commits
        self._losses = losses
        self._quarantine = Quarantine(app, commits.topic_id)
        self._rereads = Rereads(app)
        self._positions: dict[TP, OffsetTracker] = {}
        self._changed = asyncio.Event()
        self._records = RECORDS.labels(stage=stage)
        self.epoch = 0
        self.accepted = self.done = self._bytes_in_flight = 0
        self.closed = False

    @property
    def in_flight(self) -> int:
        """Records accepted and not yet done."""
        return self.accepted - self.done

    def expected(self) -> Mapping[tuple[str, int], int]:
        """The next offset to read, for each partition."""
        return {(tp.topic, tp.partition): position.expected for tp, position in list(self._positions.items())}

    async def accept(self, event: RawEvent) -> Finish | None:
        """Start processing a record; call the result when all that it caused is durable. None: skip the record."""
        tp, offset, epoch = event.tp, event.offset, self.epoch
        position = self._positions.get(tp) or await self._open(tp)
        if position.judge(offset) is OffsetRelation.SEEN:
            return None
        if not self._has_room:
            await self._wait_for_room()
        if position.expected != offset:
            await self._judge_gap(tp, position, offset)
        if tp in self._quarantine and self._is_next(position, offset, epoch):
            await self._isolate(event, position)
        return self._take(event, position) if self._is_next(position, offset, epoch) else None

    def _is_next(self, position: OffsetTracker, offset: int, epoch: int) -> bool:
        """Asked after each wait: meanwhile the partition may be revoked, or the log watch passes over a gap."""
        return position.expected == offset and epoch == self.epoch

    def _take(self, event: RawEvent, position: OffsetTracker) -> Finish:
        offset, until, size_bytes = event.offset, event.offset + event.records, event.size_bytes
        position.accept(offset)
        if event.records > 1:
            position.advance_to(until)
        self.accepted += 1
        self._bytes_in_flight += size_bytes
        return self._finisher(position, offset, until, size_bytes)

    @property
    def _has_room(self) -> bool:
        """Small records reach the bound on number first, large ones the bound on bytes."""
        policy = self._policy
        fits = self.in_flight < policy.in_flight and self._bytes_in_flight < policy.in_flight_bytes
        return fits and not self.closed

    def count(self, records: int) -> None:
        """Count processed records in the metrics: once for a batch, because a counter's lock costs time."""
        self._records.inc(records)

    async def commit(self) -> bool:
        """Commit how far everything is done. Whether the broker acknowledged it."""
        epoch = self.epoch
        behind = {tp: p.committable for tp, p in self._positions.items() if p.committable > p.committed}
        if not behind:
            return True
        if not await self._commits.send(behind):
            return False
        if epoch == self.epoch:
            for tp, offset in behind.items():
                self._positions[tp].committed = offset
                self._quarantine.done(tp, offset)
        return True

    async def commit_at_last(self) -> bool:
        """Commit before the exit: more than one attempt, because a rebalance may be in progress."""
        for _ in range(LAST_COMMITS):
            if await self.commit():
                return True
            await asyncio.sleep(self._policy.commit_interval_s)
        return False

    async def drain(self, within_s: float) -> None:
        """Wait until everything accepted is done, or the time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while self.in_flight and loop.time() < deadline:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), deadline - loop.time())
            except TimeoutError:
                return

    def on_revoked(self) -> None:
        """The partitions are not ours any more: uncommitted records will be redelivered."""
        self.epoch += 1
        self._quarantine.on_revoked()
        self._rereads.forget()
        self._commits.forget()
        self._positions.clear()
        self.accepted = self.done = self._bytes_in_flight = 0
        self._changed.set()

    def _finisher(self, position: OffsetTracker, offset: int, until: int, size_bytes: int = 0) -> Finish:
        epoch = self.epoch

        def finish() -> None:
            if epoch == self.epoch:
                position.finish(offset, until)
                self.done += 1
                self._bytes_in_flight -= size_bytes
                self._changed.set()

        return finish

    async def on_assigned(self, partitions: Iterable[TP]) -> None:
        """Read each partition from its committed offset, because Faust may have dropped records that it fetched during
        recovery. The watchdog must also know silent partitions.
        """
        for tp in partitions:
            position = self._positions.get(tp) or await self._open(tp)
            try:
                await self._app.consumer.seek(tp, position.expected)
            except IllegalStateError:
                return  # revoked meanwhile; the next owner continues

    async def _open(self, tp: TP) -> OffsetTracker:
        epoch = self.epoch
        committed, metadata, end = await self._commits.last(tp)
        if committed is None:
            # A group starts where the log begins: it never had a claim to records deleted before its first start.
            committed = (await self._app.consumer.earliest_offsets(tp))[tp]
        if epoch == self.epoch and tp not in self._positions:
            await self._quarantine.start(tp, committed, metadata, end)
        position = OffsetTracker(committed)
        return self._positions.setdefault(tp, position) if epoch == self.epoch else position

    async def _isolate(self, event: RawEvent, position: OffsetTracker) -> None:
        """Wait until the record can be processed alone; quarantine it if it ended the process too often."""
        epoch, tp, offset = self.epoch, event.tp, event.offset
        while (position.in_flight or self.closed) and epoch == self.epoch:
            self._changed.clear()
            await self._changed.wait()
        if not self._is_next(position, offset, epoch):
            return
        must_quarantine = self._quarantine.must_quarantine(tp, offset)
        may_decode = self._quarantine.may_decode(tp, offset)
        if may_decode and await self._quarantine.take_in_hand(tp, offset) and epoch == self.epoch:
            position.committed = max(position.committed, offset)
        record = await self._losses.read(event) if must_quarantine and may_decode else None
        if must_quarantine and self._is_next(position, offset, epoch):
            self._losses.quarantine(event, record, self._take(event, position))

    async def look_for_gap(self, tp: TP, expected: int) -> None:
        """Called if nothing came for a while although the log continues behind `expected`. If everything that came is
        done, continue at the log's next record, or where that will be. A record at `expected` is on its way; otherwise
        the watchdog acts.
        """
        position, epoch = self._positions.get(tp), self.epoch
        if position is None or not self._is_quiet(position, expected):
            return
        found = await asyncio.to_thread(offset_gaps.look_from, self._policy.client_config, tp, expected)
        if found is None or epoch != self.epoch or not self._is_quiet(position, expected):
            return
        if found.next_offset > expected:
            self._advance_to(tp, position, found.next_offset, found.log_start)

    def _is_quiet(self, position: OffsetTracker, expected: int) -> bool:
        """Whether the next record would be accepted at once."""
        return self._has_room and position.expected == expected and not position.in_flight

    async def _judge_gap(self, tp: TP, position: OffsetTracker, offset: int) -> None:
        """Pass over what the log does not have before `offset`. What it has, and all behind it, comes again."""
        epoch = self.epoch
        while position.judge(offset) is OffsetRelation.GAP and epoch == self.epoch:
            expected = position.expected
            verdict = self._rereads.came(tp, expected, offset)
            if verdict is RereadVerdict.WAIT:
                return
            found = await asyncio.to_thread(offset_gaps.look_from, self._policy.client_config, tp, expected)
            if not self._is_next(position, expected, epoch):
                continue
            if found is None or found.next_offset == expected:
                await self._rereads.read_again(tp, expected, offset, verdict)
                return
            self._advance_to(tp, position, min(found.next_offset, offset), found.log_start)

    def _advance_to(self, tp: TP, position: OffsetTracker, offset: int, log_start: int) -> None:
        """Continue at `offset`. Unread records before the start of the log are lost. Other missing offsets never had a
        readable record, or compaction removed it.
        """
        first, lost_until = position.expected, min(log_start, offset)
        if lost_until > first:
            position.advance_to(lost_until)
            self.accepted += 1
            self._losses.report(Loss(tp, first, lost_until), self._finisher(position, first, lost_until))
        if offset > position.expected:
            OFFSET_GAPS.labels(stage=self._stage, topic=tp.topic).inc(offset - position.expected)
            position.skip_gap(offset)

    async def _wait_for_room(self) -> None:
        while not self._has_room:
            self._changed.clear()
            await self._changed.wait()
