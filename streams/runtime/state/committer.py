"""Commits staged writes in groups, in a fixed order: changelog entries, then output records, then consumer offsets.

Records that arrive while two groups are on their way form the next group: first every fact (each key once, with its
last value), then, after the broker has acknowledged all of them, every message; then the records are done. So an idle
stage waits for nothing, and a busy one shares the broker's round trips among hundreds of records. Because state is
durable before output is produced, a redelivered record finds the same state and produces the same output.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nightdesk.messaging.producer import Message, NotDelivered, Producer, Spans
from nightdesk.schemas.records import AuditRecord
from nightdesk.streams.api.staged_writes import Oversized, StagedWrites
from nightdesk.streams.api.state_store import StateStore
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop

Done = Callable[[], None]
# Called with audit records that are durable.
Audited = Callable[[Sequence[AuditRecord]], None]


class LocalDisk(Protocol):
    """Stores facts when they are durable on the broker."""

    def acknowledged(self, facts: Iterable[tuple[StateStore, Message]], spans: Spans) -> None:
        """`spans` says where they lie in their changelogs."""


# A busy stage fills a group for this long: the same records then cost a tenth of the requests, here, on the broker and
# in the next stage. A stage with few records in flight, or whose records wait for each other, does not wait.
LINGER_S = 0.03
BUSY_RECORDS = 32
# The facts of one group are sent while the messages of the previous one are. More groups at once would only be smaller.
GROUPS_AT_ONCE = 2


@dataclass(slots=True)
class _Group:
    """The staged writes that are sent together."""

    facts: dict[tuple[str, int, bytes], tuple[StateStore, Message]] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    oversized: list[Oversized] = field(default_factory=list)
    audited: list[AuditRecord] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)


class Committer:
    """Commits staged writes in groups. Groups are emitted in the order in which they were formed."""

    def __init__(
        self,
        producer: Producer,
        alive: Callable[[], None],
        is_busy: Callable[[], bool],
        keep: Callable[..., None] | None = None,
        audited: Audited | None = None,
        disk: LocalDisk | None = None,
    ) -> None:
        """`is_busy` says whether a group that waits will grow: many records are in flight that can join it. `keep`
        stores `Oversized` records, which are too large for their dead letters, in a folder. `audited` is told of the
        audit records of each group when they are durable. `disk` keeps a copy of the facts.
        """
        self._producer = producer
        self._alive = alive
        self._is_busy = is_busy
        self._keep = keep
        self._audited = audited
        self._disk = disk
        self._group = _Group()
        self._scheduled = False
        self._emitted: asyncio.Future[None] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._epoch = 0

    def submit(self, writes: StagedWrites, done: Done) -> None:
        """Apply the facts in memory now; `done` is called when facts and messages are durable."""
        group = self._group
        for put in writes.puts:
            group.facts[put.store.name, put.partition, put.key] = (put.store, put.store.write(put))
        group.messages.extend(writes.messages)
        group.oversized.extend(writes.oversized)
        group.audited.extend(writes.audited)
        group.done.append(done)
        if writes.puts_after_emit:
            group.done.append(lambda: self._put_after_emit(writes))
        self._schedule()

    def _put_after_emit(self, writes: StagedWrites) -> None:
        following = writes.empty()
        following.puts.extend(writes.puts_after_emit)
        self.submit(following, _nothing)

    async def commit(self, writes: StagedWrites) -> None:
        """Like `submit`, but returns when everything is durable: for a step of an async handler."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def resolve() -> None:
            if not future.done():
                future.set_result(None)

        self.submit(writes, resolve)
        await future

    def abandon(self) -> None:
        """Emit nothing more for these partitions, because they are revoked, and cancel who waits for it."""
        self._epoch += 1
        self._group = _Group()
        for task in self._running:
            task.cancel()
        self._emitted = None

    def _schedule(self) -> None:
        if self._scheduled:
            return
        self._scheduled = True
        loop = asyncio.get_running_loop()
        if self._is_busy():
            loop.call_later(LINGER_S, self._flush)
        else:
            loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if not self._group.done or len(self._running) >= GROUPS_AT_ONCE:
            return
        group, self._group = self._group, _Group()
        emitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._write(group, self._emitted, emitted))
        self._emitted = emitted
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._group.done:
            self._schedule()

    async def _write(self, group: _Group, before: asyncio.Future[None] | None, emitted: asyncio.Future[None]) -> None:
        epoch = self._epoch
        try:
            self._alive()
            await self._send_facts(group)
            await self._keep_oversized(group)
            if before is not None:
                await before
            self._alive()
            delivered = self._producer.send(group.messages)
            emitted.set_result(None)
            await delivered
        except NotDelivered as error:
            fail_stop(ExitCode.CANNOT_WRITE, f"the broker did not accept the output of a record: {error}")
        finally:
            if not emitted.done():
                emitted.cancel()
        if self._audited is not None and group.audited:
            self._audited(group.audited)
        if epoch == self._epoch:
            for done in group.done:
                done()

    async def _send_facts(self, group: _Group) -> None:
        """Send the facts at once, because those of the next group must come after them; then keep them on disk."""
        if not group.facts:
            return
        spans: Spans = {}
        facts = group.facts.values()
        messages = (message for _, message in facts)
        if self._disk is None:
            await self._producer.send(messages)
        else:
            await self._producer.send(messages, spans)
            self._disk.acknowledged(facts, spans)

    async def _keep_oversized(self, group: _Group) -> None:
        """Before the letters that refer to them. On a thread, because a disk may be slow, and the loop has heartbeats
        to send.
        """
        if self._keep is not None and group.oversized:
            await asyncio.to_thread(self._keep, *group.oversized)


def _nothing() -> None:
    """Nobody waits for it."""
