"""One worker of a stage, from its start to its end: the safety layer's promises around the real handlers.

Made by the world, again after each crash: nothing is in it that is not in the log. The order of things is that of
`streams/runtime`: facts are durable before words are said, words are said before a record counts as done, and only
the finished head of a partition is committed. Each durable write is a step of its own, with a chance to die before
and after it.
"""

from collections import deque
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from functools import partial
from types import coroutine
from typing import TYPE_CHECKING, Any, cast

from faust.types import TP

from streams.runtime.changes import Changes, Put
from streams.runtime.delivery import RawEvent
from streams.runtime.guard import Guard
from streams.runtime.positions import Position
from streams.runtime.producer import Message
from streams.runtime.stage import Commit, Handlers
from streams.runtime.tables import FactTable
from tests.simulator.agenda import Life
from tests.simulator.log import PARTITIONS, PREFIX
from tests.simulator.tables import MemoryTable

if TYPE_CHECKING:
    from tests.simulator.world import World

Done = Callable[[], None]
Resume = Callable[[Any], None]
Effect = Callable[[Resume], None]
Talk = Coroutine[Effect, Any, Changes]


@coroutine
def outside(effect: Effect) -> Generator[Effect, Any, Any]:
    """Leaves the conversation until what it asked for has come."""
    return (yield effect)


@dataclass(slots=True)
class Submission:
    """Changes on their way: facts still to be written, then words still to be said."""

    puts: deque[Put]
    words: deque[Message]
    done: Done


class Step:
    """`Commit` as conversations see it."""

    def __init__(self, process: "Process") -> None:
        self._process = process

    def alive(self) -> None:
        """A process that is gone asks no more."""

    async def __call__(self, changes: Changes) -> None:
        await outside(lambda resume: self._process.submit(changes, partial(resume, None)))


@dataclass(slots=True, eq=False)
class Process:
    """Reads, remembers, says, commits. `life` ends with it."""

    handlers: Handlers
    world: "World"
    life: Life
    tables: dict[str, MemoryTable] = field(init=False)
    _guard: Guard = field(init=False)
    _positions: dict[TP, Position] = field(default_factory=dict)
    _reading: set[TP] = field(default_factory=set)
    _unwritten: deque[Submission] = field(default_factory=deque)
    _unsaid: deque[Submission] = field(default_factory=deque)
    _lines: dict[bytes, deque[tuple[RawEvent, Done]]] = field(default_factory=dict)
    _commit_due: bool = False

    def __post_init__(self) -> None:
        name, log = self.handlers.name, self.world.log
        self.tables = {table: MemoryTable(table, log.changelogs[name, table]) for table in self.handlers.table_names}
        self.handlers.bind(cast(dict[str, FactTable], self.tables), cast(Commit, Step(self)))
        self.handlers.recovered()
        self._guard = Guard(name, self.handlers.routes(), log.codec, self.world.policy)
        for route in self.handlers.routes():
            for partition in range(PARTITIONS):
                tp = TP(PREFIX + route.topic.name, partition)
                self._positions[tp] = Position(log.committed.get((name, tp), 0))
                self.look(tp)

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
        if isinstance(answer, Changes):
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
        """Tell the broker; it does not always hear."""
        self._commit_due = False
        if self.world.rng.random() < 0.2:
            return
        for tp, position in self._positions.items():
            self.world.log.committed[self.handlers.name, tp] = position.committable

    # -- conversations: of one key one after another

    def _begin(self, key: bytes) -> None:
        entry, _ = self._lines[key][0]
        answer = self._guard.handle(entry)
        if isinstance(answer, Changes):
            self.submit(answer, partial(self._ended, key))
        else:
            self._advance(key, cast(Talk, answer()), None)

    def _advance(self, key: bytes, conversation: Talk, reply: Any) -> None:
        try:
            effect = conversation.send(reply)
        except StopIteration as end:
            self.submit(end.value, partial(self._ended, key))
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
        """What time causes."""
        for partition in range(PARTITIONS):
            changes = self._guard.changes(partition)
            self.handlers.tick(partition, changes)
            if changes.puts or changes.messages:
                self.submit(changes, _nothing)

    # -- state before words

    def submit(self, changes: Changes, done: Done) -> None:
        """Remember now; durable, said and done in that order, each a step of its own."""
        for put in changes.puts:
            put.table.write(put)
        if changes.puts_once_said:
            done = partial(self._said, changes, done)
        self._unwritten.append(Submission(deque(changes.puts), deque(self._shuffled(changes.messages)), done))
        if len(self._unwritten) == 1:
            self._add(self._write)

    def _write(self) -> None:
        head = self._unwritten[0]
        for _ in range(self._portion(len(head.puts))):
            put = head.puts.popleft()
            self.world.trace(self.handlers.name, "remembers", put.table.name, put.key, _short(put.value))
            self.world.log.changelogs[self.handlers.name, put.table.name].append(put)
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

    def _said(self, changes: Changes, done: Done) -> None:
        done()
        following = changes.empty()
        following.puts.extend(changes.puts_once_said)
        self.submit(following, _nothing)

    def _portion(self, size: int) -> int:
        """How much of it is on the broker when the next thing happens."""
        return size if self.world.rng.random() < 0.6 else int(self.world.rng.random() * (size + 1))

    def _shuffled(self, messages: list[Message]) -> list[Message]:
        """The broker keeps the order of a partition, and nothing else."""
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
