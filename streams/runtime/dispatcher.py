"""Hands each record to the guard, and what it causes to the committer; then those whose turn it is.

Owned by the stage. Most records are done at once, in the order of the log; those that have to wait for the outside
converse beside each other, those of one key one after another.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from streams.runtime.changes import Changes
from streams.runtime.committer import Committer
from streams.runtime.delivery import RawEvent
from streams.runtime.fail_stop import ExitCode, fail_stop
from streams.runtime.guard import Guard
from streams.runtime.intake import Finish
from streams.runtime.parking import Parking, Then
from streams.runtime.queues import Turn


def nothing() -> None:
    """What time caused, or had waited, has no offset to finish."""


class Dispatcher:
    """What is under way in one stage. `turn`, where it is given, is that of a record that had to wait."""

    def __init__(self, guard: Guard, committer: Committer, parking: Parking | None) -> None:
        self._guard = guard
        self._committer = committer
        self._parking = parking
        self._conversations: set[asyncio.Task[None]] = set()
        # The end of the last conversation of each key: all that it caused is durable.
        self._tails: dict[bytes, asyncio.Event] = {}
        # Whose turn it is at this moment: nobody is called twice.
        self._called: set[Turn] = set()

    def dispatch(self, event: RawEvent, finish: Finish, turn: Turn | None = None) -> None:
        """Take a record on; `finish` is called when all that it caused is durable."""
        key = event.key or b""
        before = self._tails.get(key)
        if before is not None:
            self._converse(key, partial(self._in_turn, before, event, turn), finish, turn)
            return
        answer = self._guard.handle(event, turn)
        if isinstance(answer, Changes):
            self._submit(answer, finish, turn)
        else:
            self._converse(key, answer, finish, turn)

    def cancel(self) -> None:
        """All of them, not only the last of each key: the ones that it waits for act as well."""
        for task in self._conversations:
            task.cancel()
        self._tails.clear()
        self._called.clear()

    def resume(self, partition: int) -> None:
        """Let go on what was going on when another process lost the partition."""
        if self._parking is not None:
            for queue in self._parking.free(partition):
                self._call(partition, queue)

    def let_go_expired(self, partition: int) -> None:
        """Nobody decided on a letter for as long as its topic kept it: those behind it wait no longer."""
        if self._parking is None:
            return
        for turn in self._parking.expired(partition):
            changes = self._guard.changes(partition)
            self._parking.leave(changes, turn)
            self._committer.submit(changes, nothing)
            self._call(partition, turn.queue)

    def _submit(self, changes: Changes, finish: Finish, turn: Turn | None) -> None:
        then = changes.then
        if then is None:
            self._committer.submit(changes, finish)
        else:
            self._committer.submit(changes, lambda: self._hand_on(changes.partition, then, finish, turn))

    def _hand_on(self, partition: int, then: Then, finish: Finish, turn: Turn | None) -> None:
        """Everything is said: remember whose turn is over, and call the next."""
        following = self._guard.changes(partition)
        over = then(following)
        self._committer.submit(following, finish)
        if turn is not None:
            self._called.discard(turn)
        if over is not None:
            self._call(partition, over.queue)

    def _call(self, partition: int, queue: str) -> None:
        following = self._parking.next(partition, queue) if self._parking else None
        if following is not None and following[0] not in self._called:
            turn, event = following
            self._called.add(turn)
            self.dispatch(event, nothing, turn)

    def _converse(
        self, key: bytes, conversation: Callable[[], Awaitable[Changes]], finish: Finish, turn: Turn | None
    ) -> None:
        ended = self._tails[key] = asyncio.Event()
        task = asyncio.create_task(self._hold(conversation, partial(self._end, key, ended, finish), turn))
        self._conversations.add(task)
        task.add_done_callback(self._held)

    async def _in_turn(self, before: asyncio.Event, event: RawEvent, turn: Turn | None) -> Changes:
        await before.wait()
        answer = self._guard.handle(event, turn)
        return answer if isinstance(answer, Changes) else await answer()

    async def _hold(self, conversation: Callable[[], Awaitable[Changes]], finish: Finish, turn: Turn | None) -> None:
        self._submit(await conversation(), finish, turn)

    def _held(self, task: "asyncio.Task[None]") -> None:
        self._conversations.discard(task)
        if not task.cancelled() and task.exception() is not None:
            fail_stop(ExitCode.CANNOT_WRITE, f"stopped in a conversation: {task.exception()!r}")

    def _end(self, key: bytes, ended: asyncio.Event, finish: Finish) -> None:
        if self._tails.get(key) is ended:
            del self._tails[key]
        ended.set()
        finish()
