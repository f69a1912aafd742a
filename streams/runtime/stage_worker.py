"""One stage: a Faust app whose agent passes every record through the safety layer.

The agent only dispatches: Faust never acknowledges for us (`noack`), and the agent never yields and never raises.
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import faust
from faust.types import TP

from nightdesk.messaging.naming import PARKED, group_id
from nightdesk.messaging.producer import Producer
from nightdesk.schemas.codec import Codec
from nightdesk.streams.api import Stage
from nightdesk.streams.api.state_store import StateStore
from nightdesk.streams.metrics import RECOVERY_LEFT
from nightdesk.streams.runtime import faust_app
from nightdesk.streams.runtime.consuming.assignment import watch_assignment
from nightdesk.streams.runtime.consuming.log_watch import LogWatch
from nightdesk.streams.runtime.consuming.losses import Losses
from nightdesk.streams.runtime.consuming.offset_commits import OffsetCommits
from nightdesk.streams.runtime.consuming.partition_reader import PartitionReader
from nightdesk.streams.runtime.consuming.progress import watchdog_for
from nightdesk.streams.runtime.departure import depart
from nightdesk.streams.runtime.group_commit import GroupCommit
from nightdesk.streams.runtime.handling.dead_letters import keep_oversized
from nightdesk.streams.runtime.handling.delivery import RawEvent
from nightdesk.streams.runtime.handling.dispatcher import Dispatcher, no_offset
from nightdesk.streams.runtime.handling.guard import Guard
from nightdesk.streams.runtime.handling.parking import Parking
from nightdesk.streams.runtime.membership.lease import Lease
from nightdesk.streams.runtime.membership.topic_watch import TopicWatch
from nightdesk.streams.runtime.ownership import Ownership
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process import health
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop, leave
from nightdesk.streams.runtime.process.liveness import FreezeGuard
from nightdesk.streams.runtime.stage_metrics import Export, StageMetrics, nowhere
from nightdesk.streams.runtime.state.committer import BUSY_RECORDS, Committer
from nightdesk.streams.runtime.state.placement import local_state
from nightdesk.streams.runtime.state.tables import FaustTable

REVOKE_DRAIN_S = 5.0


class StageWorker:
    """The Faust app of one stage, with the safety layer around its agent."""

    def __init__(self, stage: Stage, codec: Codec, policy: WorkerPolicy, export: Export = nowhere) -> None:
        self.name = stage.name
        self._stage = stage
        self._policy = policy
        # Called last, if the process was told to stop.
        self.on_stopped: Callable[[], None] = no_offset
        self._routes = stage.routes()
        self._topics = tuple(policy.topic_prefix + route.topic.name for route in self._routes)
        self._lease = Lease(policy.session_timeout_s, policy.rebalance_timeout_s)
        self._freeze_guard = FreezeGuard(policy.lease_s)
        producer = Producer(policy.client_config, policy.delivery_timeout_s)
        self._taken_over, self._recoveries = -1, 0
        self._tables: list[FaustTable] = []
        app_id = group_id(policy.topic_prefix, self.name)
        self._local = local_state(policy.state_folder(app_id), policy.state_cache_bytes, policy.client_config)
        self.app = faust_app.build(app_id, policy, self._lease)
        self._ownership = Ownership(self.app, self._topics[0], self._tables)
        keep = None if policy.oversized_dir is None else partial(keep_oversized, policy.oversized_dir)
        self._metrics = StageMetrics(self.name, policy.topic_prefix, export)
        audited = self._metrics.audited
        self._committer = Committer(producer, self._lease.check, self._is_busy, keep, audited, self._local)
        self._parking = self._park(codec)
        self._guard = Guard(self.name, self._routes, codec, policy, self._parking)
        losses = Losses(self.name, self._guard, self._committer, policy)
        topic_id = lambda topic: self._topic_watch.topic_id(topic)  # noqa: E731, PLW0108  # `_build` makes the watch
        commits = OffsetCommits(self.app, self._lease, policy, topic_id)
        self._reader = PartitionReader(self.name, self.app, policy, commits, losses)
        self._dispatcher = Dispatcher(self._guard, self._committer, self._parking)
        self._build()

    def _park(self, codec: Codec) -> Parking | None:
        """The parking of the stage, if a route has queues."""
        if all(route.queue_of is None for route in self._routes):
            return None
        return Parking(self._add_table(StateStore(PARKED)), codec, self._policy.clock)

    def _build(self) -> None:
        for table in self._stage.tables:
            self._add_table(table.store)
        self._stage.bind(GroupCommit(self._committer, self._lease))
        topics = frozenset([*self._topics, *(table.store.changelog_topic for table in self._tables)])
        self._topic_watch = TopicWatch(self._policy.client_config, topics)
        self.app.task(partial(watch_assignment, self.app, topics))
        topic = self.app.topic(
            *self._topics,
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
        log_watch = LogWatch(self.name, self._reader, self._policy)
        for task in (self._commit_repeatedly, self._tick_repeatedly, log_watch.run):
            self.app.task(task)

    def _add_table(self, store: StateStore) -> StateStore:
        table = FaustTable(self.app, store, partitions=self._policy.partitions, local=self._local)
        if not self._tables:  # Faust calls back for each table, and all are read when it calls for the first
            table.on_recover(self._on_recovered)
        self.app.tables.add(table)
        self._tables.append(table)
        return store

    def _is_busy(self) -> bool:
        return self._reader.in_flight >= BUSY_RECORDS and not self._dispatcher.has_hot_key

    # -- records

    async def _consume(self, stream: Any) -> None:
        async for batch in stream.noack().events():
            await self._consume_batch(batch.message.value)
            self._reader.count(len(batch.message.value))
            # Yield to the loop, so that a full partition does not delay commits and timers.
            await asyncio.sleep(0)

    async def _consume_batch(self, events: Iterable[RawEvent]) -> None:
        epoch = self._reader.epoch
        for event in events:
            await self._guard.pause.wait()
            if epoch != self._reader.epoch:
                return
            finish = await self._reader.accept(event)
            if epoch != self._reader.epoch:
                return  # revoked meanwhile: the rest is redelivered, here or elsewhere
            if finish is not None:
                self._dispatcher.dispatch(event, self._metrics.timed(finish))

    # -- partitions

    async def _on_revoked(self, app: faust.App, revoked: set[TP], **_: Any) -> None:
        """Drain for a moment, commit what is done, drop the rest: it is redelivered, here or elsewhere."""
        self._metrics.rebalanced()
        await self._reader.drain(REVOKE_DRAIN_S)
        await self._reader.commit()
        self._reader.on_revoked()
        self._committer.abandon()
        self._dispatcher.cancel()

    async def _on_assigned(self) -> None:
        """Once after each assignment, as soon as Faust is ready."""
        epoch = self._reader.epoch
        if self._taken_over == epoch:
            return
        await self._reader.on_assigned([tp for tp in self.app.consumer.assignment() if tp.topic in self._topics])
        self._taken_over = epoch
        for partition in self._ownership.partitions():
            self._dispatcher.resume(partition)

    async def _on_recovered(self) -> None:
        """Faust awaits it before the stage reads, and ignores its errors. A stage with half of its state must not run,
        so this exits.
        """
        # From now on partitions come from processes that released them, or whose lease is over.
        self.app.tables.recovery.recovery_delay = 0.0  # type: ignore[attr-defined]  # Faust's type of it is incomplete
        self._recoveries += 1
        recovery, is_whole = self._recoveries, False
        try:
            for _ in self._stage.recovered():
                await asyncio.sleep(0)
                if recovery != self._recoveries:
                    break  # the partitions were assigned again meanwhile, so the state is derived again
            is_whole = True
        finally:
            if not is_whole and not isinstance(sys.exception(), asyncio.CancelledError):
                fail_stop(ExitCode.UNAVAILABLE, f"state cannot be derived from the tables: {sys.exception()!r}")

    @property
    def is_paused(self) -> bool:
        """Whether the stage is paused: its handlers fail on most records, so it tries one every few seconds."""
        return self._guard.pause.is_on

    @property
    def ready(self) -> bool:
        """Whether partitions are assigned and tables recovered."""
        return self._ownership.is_ready

    @property
    def records_left(self) -> int:
        """How many records of its tables it has yet to read."""
        return self._ownership.records_left()

    def positions(self) -> Mapping[tuple[str, int], int]:
        """The next offset for each of our partitions, by (topic with its prefix, partition)."""
        return self._reader.expected()

    # -- time

    async def _commit_repeatedly(self) -> None:
        while True:
            await asyncio.sleep(self._policy.commit_interval_s)
            self._metrics.measure(self.app, self._reader, ready=self.ready)
            if not self.app.rebalancing:
                await self._reader.commit()

    async def _tick_repeatedly(self) -> None:
        while True:
            await asyncio.sleep(self._policy.tick_interval_s)
            if self.ready and not self._reader.closed:
                await self._on_assigned()
                self._tick()

    def _tick(self) -> None:
        """Tick the partitions that are still ours, because one may have been revoked while this awaited."""
        for partition in self._ownership.recovered():
            if may_expire := self._policy.confirmed_clock.may_expire():
                self._dispatcher.release_expired(partition)
            writes = self._guard.writes(partition)
            self._stage.advance(partition, writes, may_expire=may_expire)
            if writes.puts or writes.messages:
                self._committer.submit(writes, no_offset)

    # -- beginning and end

    async def _start(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, lambda: asyncio.ensure_future(self._stop()))
        # A function, because the first recovery is over before the metrics are measured repeatedly.
        RECOVERY_LEFT.labels(stage=self.name).set_function(self._ownership.records_left)
        self._topic_watch.start()
        watchdog_for(self.app, self._reader, self._policy).start()
        if self._policy.metrics_port:
            await health.serve(self._policy.metrics_port, self._ownership.why_not_ready, self._policy.metrics_host)

    async def _stop(self) -> None:
        """Exit without Faust's own shutdown, which would commit cancelled records."""
        if self._reader.closed:
            return
        await depart(self.app, self._reader, self._dispatcher, self._committer, self._policy)
        await self._stage.close()
        self.on_stopped()
        leave(ExitCode.DRAINED)
