"""Passes each record to the guard and its staged writes to the committer, and then resumes parked records.

Most records are done at once, in log order. Records whose handler awaits other systems run concurrently, but those of
one key one after another.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

from nightdesk.streams.api.staged_writes import AfterCommit, StagedWrites
from nightdesk.streams.runtime.handling.delivery import Finish, RawEvent
from nightdesk.streams.runtime.handling.guard import Guard
from nightdesk.streams.runtime.handling.parking import Parking
from nightdesk.streams.runtime.handling.queues import BlockedKey
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop
from nightdesk.streams.runtime.state.committer import Committer

# A key with this many waiting records is hot: each waits for the group commit of the one before it.
HOT_KEY_RECORDS = 3


def no_offset() -> None:
    """Timer ticks and unparked records have no offset of their own, so nothing needs to be marked as done."""


class Dispatcher:
    """The running handlers of one stage. `turn`, if given, is the place of a parked record."""

    def __init__(self, guard: Guard, committer: Committer, parking: Parking | None) -> None:
        self._guard = guard
        self._committer = committer
        self._parking = parking
        self._async_tasks: set[asyncio.Task[None]] = set()
        # The end of the last async handler of each key: everything that it caused is durable.
        self._tails: dict[bytes, asyncio.Event] = {}
        self._waiting: Counter[bytes] = Counter()
        self._hot_keys: set[bytes] = set()
        # The parked records that are running now: none is resumed twice.
        self._called: set[BlockedKey] = set()

    def dispatch(self, event: RawEvent, finish: Finish, turn: BlockedKey | None = None) -> None:
        """Process a record; `finish` is called when everything that it caused is durable."""
        key = event.key or b""
        before = self._tails.get(key)
        if before is not None:
            self._wait(key)
            self._run_async(key, partial(self._in_turn, key, before, event, turn), finish, turn)
            return
        answer = self._guard.handle(event, turn)
        if isinstance(answer, StagedWrites):
            self._submit(answer, finish, turn)
        else:
            self._run_async(key, answer, finish, turn)

    def cancel(self) -> None:
        """Cancel all running handlers, not only the last one of each key."""
        for task in self._async_tasks:
            task.cancel()
        self._tails.clear()
        self._waiting.clear()
        self._hot_keys.clear()
        self._called.clear()

    def resume(self, partition: int) -> None:
        """Resume the queues that another process was releasing when it lost the partition."""
        if self._parking is not None:
            for queue in self._parking.free(partition):
                self._call(partition, queue)

    def release_expired(self, partition: int) -> None:
        """Release the records behind letters that their topic has deleted unresolved."""
        if self._parking is None:
            return
        for turn in self._parking.expired(partition):
            writes = self._guard.writes(partition)
            self._parking.leave(writes, turn)
            self._committer.submit(writes, no_offset)
            self._call(partition, turn.queue)

    def _submit(self, writes: StagedWrites, finish: Finish, turn: BlockedKey | None) -> None:
        after_commit = writes.after_commit
        if after_commit is None:
            self._committer.submit(writes, finish)
        else:
            self._committer.submit(writes, lambda: self._hand_on(writes.partition, after_commit, finish, turn))

    def _hand_on(self, partition: int, after_commit: AfterCommit, finish: Finish, turn: BlockedKey | None) -> None:
        """After everything is emitted, record that the parked record is done, and resume the next."""
        following = self._guard.writes(partition)
        over = after_commit(following)
        self._committer.submit(following, finish)
        if turn is not None:
            self._called.discard(turn)
        if over is not None:
            self._call(partition, over)

    def _call(self, partition: int, queue: str) -> None:
        following = self._parking.next(partition, queue) if self._parking else None
        if following is not None and following[0] not in self._called:
            turn, event = following
            self._called.add(turn)
            self.dispatch(event, no_offset, turn)

    def _run_async(
        self, key: bytes, pending: Callable[[], Awaitable[StagedWrites]], finish: Finish, turn: BlockedKey | None
    ) -> None:
        ended = self._tails[key] = asyncio.Event()
        task = asyncio.create_task(self._hold(pending, partial(self._end, key, ended, finish), turn))
        self._async_tasks.add(task)
        task.add_done_callback(self._held)

    @property
    def has_hot_key(self) -> bool:
        """Whether several records of one key wait for each other: a group that lingers would delay each of them."""
        return bool(self._hot_keys)

    def _wait(self, key: bytes) -> None:
        self._waiting[key] += 1
        if self._waiting[key] >= HOT_KEY_RECORDS:
            self._hot_keys.add(key)

    def _go_on(self, key: bytes) -> None:
        self._waiting[key] -= 1
        if self._waiting[key] < HOT_KEY_RECORDS:
            self._hot_keys.discard(key)
        if not self._waiting[key]:
            del self._waiting[key]

    async def _in_turn(
        self, key: bytes, before: asyncio.Event, event: RawEvent, turn: BlockedKey | None
    ) -> StagedWrites:
        await before.wait()
        self._go_on(key)
        answer = self._guard.handle(event, turn)
        return answer if isinstance(answer, StagedWrites) else await answer()

    async def _hold(
        self, pending: Callable[[], Awaitable[StagedWrites]], finish: Finish, turn: BlockedKey | None
    ) -> None:
        self._submit(await pending(), finish, turn)

    def _held(self, task: "asyncio.Task[None]") -> None:
        self._async_tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            fail_stop(ExitCode.CANNOT_WRITE, f"an async handler stopped the process: {task.exception()!r}")

    def _end(self, key: bytes, ended: asyncio.Event, finish: Finish) -> None:
        if self._tails.get(key) is ended:
            del self._tails[key]
        ended.set()
        finish()
