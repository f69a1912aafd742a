"""One stage: a Faust app whose agent hands every record through the safety layer.

Built by the bootstrap, run by `nightdesk worker`. The agent only dispatches: Faust never acknowledges for us
(`noack`), the agent never yields and never raises.
"""

import asyncio
import signal
from collections.abc import Iterable
from typing import Any, Protocol

import faust
from faust.types import TP

from schemas.codec import Codec
from streams.runtime import faust_app, health
from streams.runtime.changes import Changes
from streams.runtime.committer import Committer
from streams.runtime.delivery import RawEvent
from streams.runtime.dispatcher import Dispatcher, nothing
from streams.runtime.fail_stop import ExitCode, leave
from streams.runtime.guard import Guard, Route
from streams.runtime.intake import Intake
from streams.runtime.liveness import FreezeGuard, Watchdog
from streams.runtime.metrics import IN_FLIGHT, READY, REBALANCES
from streams.runtime.naming import PARKED, group_id
from streams.runtime.parking import Parking
from streams.runtime.policy import WorkerPolicy
from streams.runtime.producer import Producer
from streams.runtime.tables import FactTable

REVOKE_DRAIN_S = 5.0


class Commit:
    """Handed to conversations: `await commit(changes)` before the next effect, `alive()` just before it."""

    def __init__(self, committer: Committer, freeze_guard: FreezeGuard) -> None:
        self._committer = committer
        self.alive = freeze_guard.check

    async def __call__(self, changes: Changes) -> None:
        await self._committer.commit(changes)


class Handlers(Protocol):
    """What a stage adds to the layer. Built before the app runs; the tables it names are handed to it."""

    @property
    def name(self) -> str: ...

    @property
    def table_names(self) -> tuple[str, ...]: ...

    def routes(self) -> tuple[Route, ...]:
        """Which topics go to which handler."""

    def bind(self, tables: dict[str, FactTable], commit: Commit) -> None:
        """Take the tables and the way to make a step durable in the midst of a conversation."""

    def recovered(self) -> None:
        """Tables were read again: rebuild what is derived from them."""

    def tick(self, partition: int, changes: Changes) -> None:
        """What time causes, a few times a second for each partition."""

    async def close(self) -> None:
        """Release what reaches out."""


class Stage:
    """The Faust app of one stage, with the safety layer around its agent."""

    def __init__(self, handlers: Handlers, codec: Codec, policy: WorkerPolicy) -> None:
        self.name = handlers.name
        self._handlers = handlers
        self._policy = policy
        self._routes = handlers.routes()
        self._freeze_guard = FreezeGuard(policy.frozen_after_s)
        producer = Producer(policy.client_config, policy.delivery_timeout_s)
        self._taken_over = -1
        self._tables: list[FactTable] = []
        self.app = faust_app.build(group_id(policy.topic_prefix, self.name), policy)
        self._intake = Intake(self.name, self.app, policy)
        self._committer = Committer(producer, self._freeze_guard.check, lambda: self._intake.in_flight)
        self._parking = self._park(codec)
        self._guard = Guard(self.name, self._routes, codec, policy, self._parking)
        self._dispatcher = Dispatcher(self._guard, self._committer, self._parking)
        self._build()

    def _park(self, codec: Codec) -> Parking | None:
        """Only where some route has queues."""
        if all(route.queue_of is None for route in self._routes):
            return None
        return Parking(self._add_table(PARKED), codec, self._policy.clock)

    def _build(self) -> None:
        tables = {name: self._add_table(name) for name in self._handlers.table_names}
        self._handlers.bind(tables, Commit(self._committer, self._freeze_guard))
        names = [self._policy.topic_prefix + route.topic.name for route in self._routes]
        topic = self.app.topic(
            *names,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            allow_empty=True,
            acks=False,
        )
        self.app.agent(topic, name=self.name)(self._consume)
        self.app.on_partitions_revoked.connect(self._on_revoked)  # type: ignore[arg-type]  # a signal's first argument is its sender
        for first in (self._start, self._freeze_guard.beat):
            self.app.begin_with(first)
        for task in (self._commit_for_ever, self._tick_for_ever):
            self.app.task(task)

    def _add_table(self, name: str) -> FactTable:
        table = FactTable(self.app, name=name, partitions=self._policy.partitions)
        table.on_recover(self._on_recovered)
        self.app.tables.add(table)
        self._tables.append(table)
        return table

    # -- records

    async def _consume(self, stream: Any) -> None:
        async for batch in stream.noack().events():
            await self._consume_batch(batch.message.value)
            self._intake.count(len(batch.message.value))
            # The loop gets a turn, so that a full partition does not hold up commits and timers.
            await asyncio.sleep(0)

    async def _consume_batch(self, events: Iterable[RawEvent]) -> None:
        epoch = self._intake.epoch
        for event in events:
            finish = await self._intake.accept(event)
            if epoch != self._intake.epoch:
                return  # revoked meanwhile: the rest is delivered again, here or elsewhere
            if finish is not None:
                self._dispatcher.dispatch(event, finish)

    # -- partitions

    async def _on_revoked(self, app: faust.App, revoked: set[TP], **_: Any) -> None:
        """Drain for a moment, commit what is done, drop the rest: it is delivered again, here or elsewhere."""
        REBALANCES.labels(stage=self.name).inc()
        await self._intake.drain(REVOKE_DRAIN_S)
        await self._intake.commit()
        self._intake.lose()
        self._committer.abandon()
        self._dispatcher.cancel()

    async def _take_over(self) -> None:
        """Once after each assignment, as soon as Faust is ready."""
        epoch = self._intake.epoch
        if self._taken_over == epoch:
            return
        topics = {self._policy.topic_prefix + route.topic.name for route in self._routes}
        await self._intake.take_over([tp for tp in self.app.consumer.assignment() if tp.topic in topics])
        self._taken_over = epoch
        for partition in self._owned():
            self._dispatcher.resume(partition)

    async def _on_recovered(self) -> None:
        self._handlers.recovered()

    @property
    def ready(self) -> bool:
        """Partitions are assigned and tables recovered."""
        recovered = not self.app.rebalancing and self.app.tables.recovery.completed.is_set()  # type: ignore[attr-defined]  # Faust's type of it is incomplete
        if not (self.app.started and recovered and self.app.consumer.assignment()):
            return False
        # Faust says that a rebalance is over also when another has begun meanwhile.
        return all(map(self._is_recovered, self._owned()))

    def _is_recovered(self, partition: int) -> bool:
        return all(table.is_recovered(partition) for table in self._tables)

    def _owned(self) -> set[int]:
        main = self._policy.topic_prefix + self._routes[0].topic.name
        return {tp.partition for tp in self.app.consumer.assignment() if tp.topic == main}

    # -- time

    async def _commit_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._policy.commit_interval_s)
            IN_FLIGHT.labels(stage=self.name).set(self._intake.in_flight)
            READY.labels(stage=self.name).set(self.ready)
            if not self.app.rebalancing:
                await self._intake.commit()

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._policy.tick_interval_s)
            if self.ready and not self._intake.closed:
                await self._take_over()
                self._tick()

    def _tick(self) -> None:
        """To take over has waited: a partition that was lost meanwhile is none of ours."""
        for partition in filter(self._is_recovered, self._owned()):
            self._dispatcher.let_go_expired(partition)
            changes = self._guard.changes(partition)
            self._handlers.tick(partition, changes)
            if changes.puts or changes.messages:
                self._committer.submit(changes, nothing)

    # -- beginning and end

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: asyncio.ensure_future(self._stop()))
        # Faust makes the recovery when it is first asked for, and that must not be in the watchdog's thread.
        intake, recovery = self._intake, self.app.tables.recovery  # type: ignore[attr-defined]  # Faust's type of it is incomplete
        policy = self._policy
        Watchdog(
            policy.client_config,
            limit_s=lambda: policy.no_recovery_s if recovery.in_recovery else policy.no_progress_s,
            progress=lambda: (intake.accepted, intake.done, intake.epoch, _offsets_read(recovery)),
            busy=lambda: bool(intake.in_flight) or self.app.rebalancing,
            positions=intake.expected,
        ).start()
        if self._policy.metrics_port:
            await health.serve(self._policy.metrics_port, lambda: self.ready)

    async def _stop(self) -> None:
        """Take nothing new, finish what is in flight, commit, and leave without Faust's own shutdown (it would commit
        what was cancelled)."""
        if self._intake.closed:
            return
        self._intake.closed = True
        await self._intake.drain(self._policy.drain_s)
        await self._intake.commit()
        await self._handlers.close()
        leave(ExitCode.DRAINED)


def _offsets_read(recovery: Any) -> int:
    """How far the changelogs are read."""
    return sum(offset or 0 for offset in list(recovery.active_offsets.values()))
