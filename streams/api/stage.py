"""The base class of stages: tables, routes, and the hooks that the runtime calls.

All hooks of one stage run on one event loop, in one thread, so none may block; a handler that has to wait for another
system returns an `AsyncHandler`. Handlers decide and stage their writes; the runtime makes them durable: state first,
then output, then the offset. A handler that raises leaves nothing behind.
"""

from collections.abc import Awaitable, Callable, Iterator, Set
from dataclasses import dataclass
from datetime import datetime
from functools import partial, wraps
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar, final

from nightdesk.schemas.records import AuditKind, Record
from nightdesk.schemas.topics import Topic
from nightdesk.streams.api.clock import Clock, system_clock
from nightdesk.streams.api.staged_writes import StagedWrites
from nightdesk.streams.api.tables import Table

R = TypeVar("R", bound=Record)


class Delivery(NamedTuple, Generic[R]):
    """One record of a topic, at its place in the log. `replay_of` is the id of the dead letter that a person replayed;
    `attempts` counts this delivery and the failed ones before it. `origin` is the first place of a forwarded record, as
    `partition:offset`; empty for any other. `offered_to` is the agent to which a person offers an event again
    (`schemas/reoffers.py`). `stored_at` is when the broker stored the record, a forwarded one at its first
    place; None if the broker does not say so, because its topic has the producers' times.
    """

    record: R
    topic: Topic
    partition: int
    offset: int
    traceparent: str
    replay_of: str | None = None
    origin: str = ""
    offered_to: str = ""
    attempts: int = 1
    stored_at: datetime | None = None

    @property
    def place(self) -> str:
        """Identifies this record: a redelivery or a second forwarding has the same place, and no other record has."""
        return self.origin or f"{self.partition}:{self.offset}"


# The rest of a handler that has to wait for another system, to be called and awaited. It is not a coroutine, because
# Python warns of a coroutine that is cancelled before it begins.
AsyncHandler = Callable[[], Awaitable[None]]
Handler = Callable[[Delivery[Any], StagedWrites], AsyncHandler | None]
# What a record (in its partition) has to wait for before it is handled; None for nothing.
WaitsFor = Callable[[Any, int], AsyncHandler | None]
# The queue in which a record of this key waits behind a dead letter; None if it need not wait. The record is None if it
# could not be decoded.
QueueOf = Callable[[Record | None, bytes | None], str | None]


def async_handler(handler: Callable[[Delivery[Any], StagedWrites], Awaitable[None]]) -> Handler:
    """The handler of a topic for which every record has to wait for another system."""

    @wraps(handler)
    def begin(delivery: Delivery[Any], writes: StagedWrites) -> AsyncHandler:
        return partial(handler, delivery, writes)

    return begin


@dataclass(frozen=True, slots=True)
class Route:
    """Records of `topic` go to `handler`, which is done when it returns, or returns the part that has to be awaited.

    Records of one key are handled one after another. `queue_of` names the queue in which records wait behind a dead
    letter; without it none waits. `waits_for` returns what a record needs first: other records are handled meanwhile,
    and `queue_of` and `handler` are called afterwards.

    What a handler raises becomes a dead letter: `ValueError` says that the record is at fault, anything else that the
    stage may be. Cancellation passes through, and the record is redelivered.

    `makes_dead_letters` is false for a topic of which another reader makes them: a record that cannot be handled is
    logged and skipped. It has to be false for `audit`, because every dead letter adds a record to it.

    `audit_kinds` are the kinds of audit records that the handler needs, on `audit`: others are not decoded, and the
    handler may or may not get them. None is all.
    """

    topic: Topic
    handler: Handler
    queue_of: QueueOf | None = None
    waits_for: WaitsFor | None = None
    makes_dead_letters: bool = True
    audit_kinds: Set[AuditKind] | None = None


class Commit(Protocol):
    """For an `AsyncHandler` that must make a step durable before its next effect."""

    def alive(self) -> None:
        """Call it just before an effect, with nothing awaited between the two: ends the process if its lease on the
        partitions is over.
        """

    async def __call__(self, writes: StagedWrites) -> None:
        """Returns when what is staged is durable. Cancelled if the partitions are lost meanwhile."""


class Stage:
    """Base of every stage. Built before anything connects; a subclass sets `tables` in its constructor."""

    name: ClassVar[str]
    # The names of `tables`, for creating the changelog topics without building the stage.
    table_names: ClassVar[tuple[str, ...]] = ()
    tables: tuple[Table[Any], ...] = ()
    # Whether it ticks also while the wall clock disagrees with the broker's. False if a tick that comes too early
    # cannot be taken back.
    ticks_by_any_clock: ClassVar[bool] = True

    def __init__(self, clock: Clock = system_clock) -> None:
        self._clock = clock

    def routes(self) -> tuple[Route, ...]:
        """The topics and their handlers. Called once, before the stage runs; the partitions of the first route's topic
        are those that the process owns. Must be overridden.
        """
        raise NotImplementedError

    def bind(self, commit: Commit) -> None:
        """Receive the `Commit` with which an async handler makes a step durable. Called once, before anything
        is read.
        """

    def recovered(self) -> Iterator[None]:
        """Derive the state in memory from the tables again, in slices, each of which ends with a `yield`.

        Called after every assignment, when all tables are read and before any record is handled. If partitions are
        assigned again meanwhile, it is abandoned and called again. What it raises ends the process.
        """
        yield from ()

    def tick(self, partition: int, writes: StagedWrites) -> None:
        """Stage what is due in one of our partitions. Called several times a second, after `on_expired` of expired
        entries. No record would be redelivered for a tick, so use `put_after_emit` for what must not be lost. What it
        raises ends the process.
        """

    async def close(self) -> None:
        """Release connections to the outside. Called once, when the stage is asked to stop and its records are done."""

    @final
    def advance(self, partition: int, writes: StagedWrites, *, may_expire: bool = True) -> None:
        """Expire entries, if the clock is right (`may_expire`), then tick. The runtime, or a test, calls it."""
        now = self._clock().timestamp()
        for table in self.tables if may_expire else ():
            table.expire(partition, writes, now)
        if may_expire or self.ticks_by_any_clock:
            self.tick(partition, writes)
