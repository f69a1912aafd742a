"""What comes in: every record once, in order, none skipped, and no more at once than there is room for.

Owned by the stage. Keeps the position of each partition that is ours. Where a partition starts is asked of the broker,
because Faust's own idea of it may be wrong after a rebalance; a jump is judged by the log itself.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping

import faust
from aiokafka.errors import IllegalStateError
from aiokafka.structs import TopicPartition
from faust.types import TP

from streams.runtime import holes
from streams.runtime.delivery import RawEvent
from streams.runtime.fail_stop import ExitCode, fail_stop
from streams.runtime.metrics import HOLES, RECORDS
from streams.runtime.policy import WorkerPolicy
from streams.runtime.positions import Arrival, Position

Finish = Callable[[], None]


class Intake:
    """Positions of the partitions that are ours, and what is in flight. `epoch` counts the times that we lost them."""

    def __init__(self, stage: str, app: faust.App, policy: WorkerPolicy) -> None:
        self._stage = stage
        self._app = app
        self._policy = policy
        self._positions: dict[TP, Position] = {}
        self._changed = asyncio.Event()
        self._records = RECORDS.labels(stage=stage)
        self.epoch = 0
        self.accepted = 0
        self.done = 0
        self.closed = False

    @property
    def in_flight(self) -> int:
        """Records accepted and not yet done."""
        return self.accepted - self.done

    def expected(self) -> Mapping[tuple[str, int], int]:
        """What would be read next, for each partition."""
        return {(tp.topic, tp.partition): position.expected for tp, position in list(self._positions.items())}

    async def accept(self, event: RawEvent) -> Finish | None:
        """Take a record into work; call what it gives when all that it caused is durable. None: it is not to be
        done.
        """
        tp, offset, epoch = event.tp, event.offset, self.epoch
        position = self._positions.get(tp) or await self._open(tp)
        if position.judge(offset) is Arrival.SEEN:
            return None
        if self.closed or self.in_flight >= self._policy.in_flight:
            await self._wait_for_room()
        if position.judge(offset) is Arrival.GAP and epoch == self.epoch:
            await self._judge_gap(tp, position, offset)
        if epoch != self.epoch:
            return None
        position.accept(offset)
        self.accepted += 1
        return self._finisher(position, offset)

    def count(self, records: int) -> None:
        """So many were looked at, for the metrics: once for a batch, because a counter's lock costs."""
        self._records.inc(records)

    async def commit(self) -> None:
        """Tell the broker how far everything is done."""
        behind = {tp: p.committable for tp, p in self._positions.items() if p.committable > p.committed}
        if behind and await self._app.consumer._commit(behind):  # type: ignore[attr-defined]  # Faust has no public way
            for tp, offset in behind.items():
                if tp in self._positions:
                    self._positions[tp].committed = offset

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

    def lose(self) -> None:
        """The partitions are not ours any more: what is not committed will be delivered again."""
        self.epoch += 1
        self._positions.clear()
        self.accepted = self.done = 0
        self._changed.set()

    def _finisher(self, position: Position, offset: int) -> Finish:
        epoch = self.epoch

        def finish() -> None:
            if epoch == self.epoch:
                position.finish(offset)
                self.done += 1
                self._changed.set()

        return finish

    async def take_over(self, partitions: Iterable[TP]) -> None:
        """Read each partition from where it stands. What Faust fetched while it recovered the tables it may have thrown
        away; and a partition that stays silent must be known to the watchdog.
        """
        for tp in partitions:
            position = self._positions.get(tp) or await self._open(tp)
            try:
                await self._app.consumer.seek(tp, position.expected)
            except IllegalStateError:
                return  # revoked meanwhile; who gets it next takes over

    async def _open(self, tp: TP) -> Position:
        epoch = self.epoch
        thread = self._app.consumer._thread  # type: ignore[attr-defined]  # Faust has no public way to ask the broker
        committed = await thread.call_thread(thread._consumer.committed, TopicPartition(*tp))
        if committed is None:
            committed = (await self._app.consumer.earliest_offsets(tp))[tp]
        position = Position(committed)
        return self._positions.setdefault(tp, position) if epoch == self.epoch else position

    async def _judge_gap(self, tp: TP, position: Position, offset: int) -> None:
        expected = position.expected
        found = await asyncio.to_thread(
            holes.first_offset_from, self._policy.client_config, tp.topic, tp.partition, expected
        )
        if found != offset or position.expected != expected:
            where = f"{tp.topic}/{tp.partition}"
            fail_stop(ExitCode.GAP, f"{where}: {offset} came where {expected} is next; the log has {found}")
        HOLES.labels(stage=self._stage, topic=tp.topic).inc(offset - expected)
        position.skip_hole(offset)

    async def _wait_for_room(self) -> None:
        while self.closed or self.in_flight >= self._policy.in_flight:
            self._changed.clear()
            await self._changed.wait()
