"""Group commit: state before words, words before acknowledgement.

Called by the stage with the changes of each record. What comes in while two groups are on their way goes out together
as the next: first every fact (each key once, its last value), then, when the broker has them all, every message, then
the records count as done. So an idle stage waits for nobody, and a busy one pays the broker's round trips for
hundreds at once. What was said was first remembered, so a record that comes again meets the same facts and says the
same.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from streams.runtime.changes import Changes
from streams.runtime.fail_stop import ExitCode, fail_stop
from streams.runtime.producer import Message, NotDelivered, Producer

Done = Callable[[], None]
# A busy stage lets a group fill for so long: the same records then cost a tenth of the requests, here, on the broker
# and in the stage behind. A stage with few records in flight waits for nobody.
LINGER_S = 0.03
BUSY_RECORDS = 32
# One group's facts travel while the words of the one before it do. More at once would only make smaller groups.
GROUPS_AT_ONCE = 2


@dataclass(slots=True)
class _Group:
    """What goes out together."""

    facts: dict[tuple[str, int, bytes], Message] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)


class Committer:
    """Makes changes durable in groups. Groups are said in the order in which they were formed."""

    def __init__(self, producer: Producer, alive: Callable[[], None], in_flight: Callable[[], int]) -> None:
        self._producer = producer
        self._alive = alive
        self._in_flight = in_flight
        self._group = _Group()
        self._scheduled = False
        self._said: asyncio.Future[None] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._epoch = 0

    def submit(self, changes: Changes, done: Done) -> None:
        """Remember the facts now in memory; `done` is called when facts and messages are durable."""
        group = self._group
        for put in changes.puts:
            group.facts[put.table.name, put.partition, put.key] = put.table.write(put)
        group.messages.extend(changes.messages)
        group.done.append(done)
        if changes.puts_once_said:
            group.done.append(lambda: self._remember_what_was_said(changes))
        self._schedule()

    def _remember_what_was_said(self, changes: Changes) -> None:
        following = changes.empty()
        following.puts.extend(changes.puts_once_said)
        self.submit(following, _nothing)

    async def commit(self, changes: Changes) -> None:
        """The same, waited for: a conversation's durable step."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def resolve() -> None:
            if not future.done():
                future.set_result(None)

        self.submit(changes, resolve)
        await future

    def abandon(self) -> None:
        """The partitions are gone: nothing more is said for them, and nobody waits for it."""
        self._epoch += 1
        self._group = _Group()
        for task in self._running:
            task.cancel()
        self._said = None

    async def drained(self) -> None:
        """Wait until everything submitted so far is durable."""
        self._flush()
        while self._running:
            await asyncio.wait(set(self._running))
            await asyncio.sleep(0)  # the ended group's callback starts the next

    def _schedule(self) -> None:
        if self._scheduled:
            return
        self._scheduled = True
        linger_s = LINGER_S if self._in_flight() >= BUSY_RECORDS else 0.0
        asyncio.get_running_loop().call_later(linger_s, self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if not self._group.done or len(self._running) >= GROUPS_AT_ONCE:
            return
        group, self._group = self._group, _Group()
        said: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._write(group, self._said, said))
        self._said = said
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._group.done:
            self._schedule()

    async def _write(self, group: _Group, before: asyncio.Future[None] | None, said: asyncio.Future[None]) -> None:
        epoch = self._epoch
        try:
            self._alive()
            if group.facts:
                await self._producer.send(group.facts.values())
            if before is not None:
                await before
            self._alive()
            delivered = self._producer.send(group.messages)
            said.set_result(None)
            await delivered
        except NotDelivered as error:
            fail_stop(ExitCode.CANNOT_WRITE, f"the broker did not take what a record caused: {error}")
        finally:
            if not said.done():
                said.cancel()
        if epoch == self._epoch:
            for done in group.done:
                done()


def _nothing() -> None:
    """Nobody waits for it."""
