"""All stages that an event passes, in one process: each with its guard, its handler and its committer, as in a worker.

Only the producer is replaced, by one that keeps what it is given for the next stage, so neither Kafka nor Faust is
needed.
"""

from __future__ import annotations

import asyncio
import cProfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from faust.types import TP

from benchmarks.pipeline import CHARTERS
from nightdesk.bootstrap import Outside
from nightdesk.messaging.naming import PARKED
from nightdesk.messaging.partitions import partition_of
from nightdesk.messaging.producer import Message
from nightdesk.operations.charters import load_charter
from nightdesk.operations.orders import charter_orders
from nightdesk.schemas.codec import Codec
from nightdesk.settings import Settings
from nightdesk.streams import catalog
from nightdesk.streams.api import system_clock
from nightdesk.streams.api.state_store import StateStore
from nightdesk.streams.confirmation import Confirmation
from nightdesk.streams.control import Control
from nightdesk.streams.runtime.group_commit import GroupCommit
from nightdesk.streams.runtime.handling.delivery import RawEvent
from nightdesk.streams.runtime.handling.dispatcher import Dispatcher
from nightdesk.streams.runtime.handling.guard import Guard
from nightdesk.streams.runtime.handling.parking import Parking
from nightdesk.streams.runtime.membership.lease import Lease
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.boottime import boottime_s
from nightdesk.streams.runtime.stage_metrics import StageMetrics, nowhere
from nightdesk.streams.runtime.state.committer import BUSY_RECORDS, Committer

# In the order in which an event passes them. Budget comes twice, to reserve and to settle.
STAGES = ("ingest", "budget", "decide", "budget", "act", "notify")
PARTITIONS = 4
LONG_S = 86_400.0


class KeepingProducer:
    """In place of `messaging.producer.Producer`: what is sent is acknowledged at once, and kept for the next stage."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, messages: Iterable[Message]) -> asyncio.Future[None]:
        """Keep the messages."""
        self.sent.extend(messages)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    def taken(self) -> list[Message]:
        """What was sent since the last call."""
        sent, self.sent = self.sent, []
        return sent


class MeasuredStage:
    """One stage between its reader and its producer. `cpu_s` is what this process used while it had records."""

    def __init__(self, name: str, context: Outside, codec: Codec) -> None:
        policy = WorkerPolicy(client_config={}, topic_prefix="", partitions=PARTITIONS, instance_id="")
        self._stage = catalog.BY_NAME[name].build(context)
        routes = self._stage.routes()
        self.reads = {route.topic.name for route in routes}
        self.producer = KeepingProducer()
        self.profile: cProfile.Profile | None = None
        self.cpu_s = 0.0
        self._metrics = StageMetrics(name, "", nowhere)
        lease = Lease(LONG_S, LONG_S)
        lease.renew(boottime_s())
        producer: Any = self.producer
        self._committer = Committer(producer, lease.check, self._is_busy, None, self._metrics.audited)
        self._stage.bind(GroupCommit(self._committer, lease))
        parking = None
        if any(route.queue_of for route in routes):
            parking = Parking(StateStore(PARKED), codec, policy.clock)
        self._dispatcher = Dispatcher(Guard(name, routes, codec, policy, parking), self._committer, parking)
        self._in_flight = 0
        self._offsets = Counter[TP]()
        for table in self._stage.tables:
            for partition in range(PARTITIONS):
                table.store.begin_term(partition, 1)
            table.store.end_recovery()

    async def handle(self, messages: Sequence[Message]) -> None:
        """Handle records as if one fetch had brought them; returns when all are done."""
        events = [self._event(message) for message in messages]
        with self._measured():
            self._in_flight = len(events)
            for event in events:
                self._dispatcher.dispatch(event, self._metrics.timed(self._finish))
            while self._in_flight:  # noqa: ASYNC110 - an event to wait for would be set for each record
                await asyncio.sleep(0.002)

    @contextmanager
    def _measured(self) -> Iterator[None]:
        begun_at_s = time.process_time()
        if self.profile:
            self.profile.enable()
        yield
        if self.profile:
            self.profile.disable()
        self.cpu_s += time.process_time() - begun_at_s

    def _event(self, message: Message) -> RawEvent:
        tp = TP(message.topic, partition_of(message.key or b"", PARTITIONS))
        self._offsets[tp] += 1
        return RawEvent(tp, self._offsets[tp], time.time(), message.key, message.value, message.headers)

    def _is_busy(self) -> bool:
        return self._in_flight >= BUSY_RECORDS

    def _finish(self) -> None:
        self._in_flight -= 1

    async def close(self) -> None:
        await self._stage.close()


class StagePath:
    """All stages of an event."""

    def __init__(self, settings: Settings, codec: Codec) -> None:
        control = Control(Confirmation(LONG_S))
        control.confirmation.confirm(boottime_s())
        for order in charter_orders([load_charter(charter) for charter in CHARTERS]):
            control.apply(order)
        context = Outside(settings, control, system_clock)
        self.stages = {name: MeasuredStage(name, context, codec) for name in STAGES}

    async def walk(self, events: Iterable[Message]) -> None:
        """Pass events through all stages."""
        waiting = list(events)
        for name in STAGES:
            stage = self.stages[name]
            mine = [message for message in waiting if message.topic in stage.reads]
            others = [message for message in waiting if message.topic not in stage.reads]
            await stage.handle(mine)
            waiting = others + stage.producer.taken()

    async def close(self) -> None:
        for stage in self.stages.values():
            await stage.close()
