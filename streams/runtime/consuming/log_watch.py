"""Compares the positions of a stage with the broker's logs every two seconds.

The stage worker starts it. It finds conditions that no arriving record shows:

* there is nothing readable after our position (transaction markers, aborted records): we skip it, so that it is neither
  lag nor a reason for the watchdog;
* records were deleted before we read them, and nothing came since;
* the log ends before our position, so it is not the log that we read;
* a transaction stays open, and nobody can read the records behind it. On `control` it holds back orders, and so all
  calls.
"""

import asyncio
from collections.abc import Mapping

from confluent_kafka import KafkaException
from faust.types import TP

from nightdesk.messaging.clients import new_admin
from nightdesk.messaging.log_offsets import Bounds, Place, ask_bounds
from nightdesk.schemas.topics import CONTROL
from nightdesk.streams.runtime.consuming.offset_tracker import LogComparison, compare
from nightdesk.streams.runtime.consuming.partition_reader import PartitionReader
from nightdesk.streams.runtime.consuming.transaction_watch import TransactionWatch
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop

LOOK_S = 2.0


class LogWatch:
    """Compares for as long as the stage runs. `run` never returns."""

    def __init__(self, stage: str, partition_reader: PartitionReader, policy: WorkerPolicy) -> None:
        self._reader = partition_reader
        self._clock = policy.clock
        self._client_config = policy.client_config
        self._admin = new_admin(self._client_config)
        self._transactions = TransactionWatch(stage, policy.client_config)
        self._control: Place = (policy.topic_prefix + CONTROL.name, CONTROL.partition)
        # The positions at the last look, and how they compared with the log.
        self._before: dict[Place, tuple[int, LogComparison]] = {}

    async def run(self) -> None:
        """Look repeatedly; never returns. A broker that does not answer is asked again."""
        while True:
            await asyncio.sleep(LOOK_S)
            # Positions first: a log that grows meanwhile can then not seem to end before them.
            expected = dict(self._reader.expected())
            try:
                bounds = await asyncio.to_thread(ask_bounds, self._admin, expected)
            except KafkaException:
                # A client can continue with the leader epoch from before the broker's restart, and is refused forever.
                self._admin = new_admin(self._client_config)
                continue
            await self._look(expected, bounds)
            await self._transactions.look(bounds | await asyncio.to_thread(self._bounds_of_control), self._clock())

    async def _look(self, expected: Mapping[Place, int], bounds: Mapping[Place, Bounds]) -> None:
        comparisons = {
            place: (at, compare(at, bounds[place].stable, bounds[place].end)) for place, at in expected.items()
        }
        for place, (at, comparison) in comparisons.items():
            # Only what two looks agree on, because a record may be on its way, and a new leader may not know its end
            # yet.
            if self._before.get(place) == (at, comparison):
                await self._judge(place, at, comparison, bounds[place])
        self._before = comparisons

    def _bounds_of_control(self) -> dict[Place, Bounds]:
        """Empty if the broker does not say: the control subscriber decides what follows from that."""
        try:
            return ask_bounds(self._admin, [self._control])
        except KafkaException:
            return {}

    async def _judge(self, place: Place, at: int, comparison: LogComparison, bounds: Bounds) -> None:
        if comparison is LogComparison.BEYOND:
            fail_stop(
                ExitCode.TOPIC_CHANGED,
                f"{place[0]}/{place[1]} ends at {bounds.end} and we have read up to {at}: the topic was deleted and"
                " created again, or its log was cut. Start the worker again",
            )
        if comparison is LogComparison.BEHIND:
            await self._reader.look_for_gap(TP(*place), at)
