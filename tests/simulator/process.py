"""One worker of a stage, from its start to its end: the safety layer's promises around the real handlers.

The world creates it, and a new one after each crash: all of its state comes from the log. The order of events is that
of `streams/runtime`: state is durable before output is sent, output is sent before a record counts as done, and only
the finished head of a partition is committed. Each durable write is a step of its own, and the process may die before
and after it.
"""

from collections import deque
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from functools import partial
from random import Random
from types import coroutine
from typing import Any, Protocol, cast

from faust.types import TP

from nightdesk.messaging.producer import Message
from nightdesk.streams.api import Stage, StagedWrites
from nightdesk.streams.api.state_store import Put, StateStore
from nightdesk.streams.runtime.consuming.offset_tracker import OffsetTracker
from nightdesk.streams.runtime.handling.delivery import RawEvent
from nightdesk.streams.runtime.handling.guard import Guard
from nightdesk.streams.runtime.policy import WorkerPolicy
from tests.simulator.agenda import Happening, Life
from tests.simulator.log import PARTITIONS, PREFIX, Log

Done = Callable[[], None]
Resume = Callable[[Any], None]
Effect = Callable[[Resume], None]
Talk = Coroutine[Effect, Any, StagedWrites]


@coroutine
def outside(effect: Effect) -> Generator[Effect, Any, Any]:
    """Suspends the handler until the answer has arrived."""
    return (yield effect)


@dataclass(slots=True)
class Submission:
    """Writes in progress: state that is still to be written, then output that is still to be sent."""

    puts: deque[Put]
    words: deque[Message]
    done: Done


class NotTheOwner(BaseException):
    """The process is gone. Nothing may catch it."""


class Step:
    """`Commit` as handlers see it."""

    def __init__(self, process: "Process") -> None:
        self._process = process

    def alive(self) -> None:
        """Another process may own the partitions by now; then this one ends just before it acts."""
        if self._process.world.is_replaced():
            raise NotTheOwner

    async def __call__(self, writes: StagedWrites) -> None:
        await outside(lambda resume: self._process.submit(writes, partial(resume, None)))


class Next(Protocol):
    """Where a process puts what is to happen to it next."""

    def add(self, life: Life, happening: Happening) -> None: ...


class Surroundings(Protocol):
    """What a process lives in: a world of the simulator, where chance picks what happens next, or a night of
    `tests/nights`, where the clock does.
    """

    @property
    def rng(self) -> Random: ...
    @property
    def log(self) -> Log: ...
    @property
    def policy(self) -> WorkerPolicy: ...
    @property
    def agenda(self) -> Next: ...

    def say(self, message: Message) -> None:
        """A record becomes durable."""

    def is_replaced(self) -> bool:
        """Whether the process that asks has lost its partitions."""

    def replace(self, stage: str) -> None:
        """The process found that it has, and ended."""

    def trace(self, who: str, what: str, *details: object) -> None:
        """For whoever reads the story."""


@dataclass(slots=True, eq=False)
class Process:
    """Reads, stores, emits, commits. `life` ends with it."""

    handlers: Stage
    world: Surroundings
    life: Life
    _guard: Guard = field(init=False)
    _positions: dict[TP, OffsetTracker] = field(default_factory=dict)
    _reading: set[TP] = field(default_factory=set)
    _unwritten: deque[Submission] = field(default_factory=deque)
    _unsaid: deque[Submission] = field(default_factory=deque)
    _lines: dict[bytes, deque[tuple[RawEvent, Done]]] = field(default_factory=dict)
    _commit_due: bool = False

    def __post_init__(self) -> None:
        name, log = self.handlers.name, self.world.log
        for table in self.handlers.tables:
            self._rebuild(table.store, log.changelogs[name, table.name])
        self.handlers.bind(Step(self))
        list(self.handlers.recovered())
        self._guard = Guard(name, self.handlers.routes(), log.codec, self.world.policy)
        for route in self.handlers.routes():
            for partition in range(PARTITIONS):
                tp = TP(PREFIX + route.topic.name, partition)
                self._positions[tp] = OffsetTracker(log.committed.get((name, tp), 0))
                self.look(tp)

    @staticmethod
    def _rebuild(store: StateStore, changelog: list[Put]) -> None:
        store.clear()  # as on a rebalance: what was never durable must not survive it
        for partition in range(PARTITIONS):
            store.begin_term(partition, 1)
        for put in changelog:
            store.write(put)

    # -- records

    def look(self, tp: TP) -> None:
        """There may be something to read."""
        if tp not in self._reading and self._positions[tp].expected < len(self.world.log.topics[tp]):
            self._reading.add(tp)
            self._add(partial(self._read, tp))

    def _read(self, tp: TP) -> None:
        position = self._positions[tp]
        entry = self.world.log.topics[tp][position.expected]
        position.accept(entry.offset)
        self._reading.discard(tp)
        self.look(tp)
        self.world.trace(self.handlers.name, "reads", tp.topic, tp.partition, entry.offset)
        finish = partial(self._finish, tp, entry.offset)
        key = entry.key or b""
        if key in self._lines:
            self._lines[key].append((entry, finish))
            return
        answer = self._guard.handle(entry)
        if isinstance(answer, StagedWrites):
            self.submit(answer, finish)
        else:
            self._lines[key] = deque([(entry, finish)])
            self._advance(key, cast(Talk, answer()), None)

    def _finish(self, tp: TP, offset: int) -> None:
        self._positions[tp].finish(offset)
        if not self._commit_due:
            self._commit_due = True
            self._add(self._commit)

    def _commit(self) -> None:
        """Send the offset to the broker, which sometimes does not get it."""
        self._commit_due = False
        if self.world.rng.random() < 0.2:
            return
        for tp, position in self._positions.items():
            self.world.log.committed[self.handlers.name, tp] = position.committable

    # -- conversations: of one key one after another

    def _begin(self, key: bytes) -> None:
        entry, _ = self._lines[key][0]
        answer = self._guard.handle(entry)
        if isinstance(answer, StagedWrites):
            self.submit(answer, partial(self._ended, key))
        else:
            self._advance(key, cast(Talk, answer()), None)

    def _advance(self, key: bytes, conversation: Talk, reply: Any) -> None:
        try:
            effect = conversation.send(reply)
        except StopIteration as end:
            self.submit(end.value, partial(self._ended, key))
            return
        except NotTheOwner:
            self.world.replace(self.handlers.name)
            return
        effect(lambda answer: self._add(partial(self._advance, key, conversation, answer)))

    def _ended(self, key: bytes) -> None:
        line = self._lines[key]
        _, finish = line.popleft()
        finish()
        if line:
            self._add(partial(self._begin, key))
        else:
            del self._lines[key]

    # -- time

    def tick(self) -> None:
        """The stage's tick."""
        for partition in range(PARTITIONS):
            writes = self._guard.writes(partition)
            self.handlers.advance(partition, writes)
            if writes.puts or writes.messages:
                self.submit(writes, _nothing)

    # -- state before words

    def submit(self, writes: StagedWrites, done: Done) -> None:
        """Start the writes: state durable, output sent and record done, in that order, each a step of its own."""
        for put in writes.puts:
            put.store.write(put)
        if writes.puts_after_emit:
            done = partial(self._said, writes, done)
        self._unwritten.append(Submission(deque(writes.puts), deque(self._shuffled(writes.messages)), done))
        if len(self._unwritten) == 1:
            self._add(self._write)

    def _write(self) -> None:
        head = self._unwritten[0]
        for _ in range(self._portion(len(head.puts))):
            put = head.puts.popleft()
            self.world.trace(self.handlers.name, "remembers", put.store.name, put.key, _short(put.value))
            self.world.log.changelogs[self.handlers.name, put.store.name].append(put)
        if not head.puts:
            self._unwritten.popleft()
            self._unsaid.append(head)
            if len(self._unsaid) == 1:
                self._add(self._say)
        if self._unwritten:
            self._add(self._write)

    def _say(self) -> None:
        head = self._unsaid[0]
        for _ in range(self._portion(len(head.words))):
            self.world.say(head.words.popleft())
        if not head.words:
            self._unsaid.popleft()
            head.done()
        if self._unsaid:
            self._add(self._say)

    def _said(self, writes: StagedWrites, done: Done) -> None:
        done()
        following = writes.empty()
        following.puts.extend(writes.puts_after_emit)
        self.submit(following, _nothing)

    def _portion(self, size: int) -> int:
        """How much of it the broker has when the next thing happens."""
        return size if self.world.rng.random() < 0.6 else int(self.world.rng.random() * (size + 1))

    def _shuffled(self, messages: list[Message]) -> list[Message]:
        """The broker keeps only the order within a partition."""
        if len(messages) < 2:
            return messages
        ranks = {message.topic: self.world.rng.random() for message in messages}
        return sorted(messages, key=lambda message: ranks[message.topic])

    def _add(self, happening: Callable[[], None]) -> None:
        self.world.agenda.add(self.life, happening)


def _short(value: bytes | None) -> bytes | None:
    return value if value is None or len(value) < 90 else value[:90]


def _nothing() -> None:
    """Nobody waits for it."""
