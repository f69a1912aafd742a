"""The protections of the layer, each with the small patch that removes it.

The worker applies a patch before the faults. `tests/protections/test_protections.py` verifies that a scenario finds a
violation without the protection: a protection that can be removed unnoticed is none.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from faust.types import TP

from nightdesk.messaging.producer import Message, Producer, Spans
from nightdesk.streams.api.entries import MemoryEntries
from nightdesk.streams.runtime import faust_app
from nightdesk.streams.runtime.consuming.fetch_thread import FetchThread
from nightdesk.streams.runtime.consuming.log_watch import LogWatch
from nightdesk.streams.runtime.consuming.offset_commits import OffsetCommits
from nightdesk.streams.runtime.consuming.offset_tracker import OffsetTracker
from nightdesk.streams.runtime.consuming.partition_reader import PartitionReader
from nightdesk.streams.runtime.consuming.quarantine import Quarantine
from nightdesk.streams.runtime.consuming.rereads import RereadState, RereadVerdict
from nightdesk.streams.runtime.handling.delivery import Finish, RawEvent
from nightdesk.streams.runtime.handling.dispatcher import Dispatcher
from nightdesk.streams.runtime.membership.coordinator import Membership
from nightdesk.streams.runtime.membership.lease import Lease
from nightdesk.streams.runtime.membership.topic_watch import TopicWatch
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.liveness import Watchdog


def in_order_acks() -> None:
    """A finished record is committed even if earlier ones are not finished (Faust's own way)."""

    def finish(self: OffsetTracker, offset: int, until: int | None = None) -> None:
        self.committable = max(self.committable, offset + 1 if until is None else until)

    OffsetTracker.finish = finish  # type: ignore[method-assign]


def awaited_changelog() -> None:
    """State updates are sent and not awaited (Faust's own way)."""
    _unawaited(_is_changelog)


def awaited_words() -> None:
    """Output records are sent and not awaited."""
    _unawaited(lambda outgoing: not _is_changelog(outgoing))


def state_before_words() -> None:
    """Output is sent together with the state; the record is done when both are durable."""
    send = Producer.send
    facts: list[asyncio.Future[None]] = []

    def at_once(self: Producer, messages: Iterable[Message], spans: Spans | None = None) -> Any:
        outgoing = list(messages)
        if _is_changelog(outgoing):
            facts.append(send(self, outgoing, spans))
            return _delivered()
        return asyncio.gather(send(self, outgoing), *facts)

    Producer.send = at_once  # type: ignore[method-assign]


def contiguity() -> None:
    """A gap is skipped as if the log had a hole there."""

    async def pass_over(self: PartitionReader, tp: TP, position: OffsetTracker, offset: int) -> None:
        position.skip_gap(offset)

    PartitionReader._judge_gap = pass_over  # type: ignore[method-assign]


def rereads() -> None:
    """The process exits at the first record that Faust skips."""
    RereadState.came = lambda self, place, first, offset: RereadVerdict.GIVE_UP  # type: ignore[method-assign]


def start_at_committed() -> None:
    """A partition starts at the first record that arrives."""
    accept = PartitionReader.accept
    begun: set[tuple[TP, int]] = set()

    async def start_here(self: PartitionReader, event: RawEvent) -> Finish | None:
        tp = event.tp
        if (tp, self.epoch) not in begun:
            begun.add((tp, self.epoch))
            self._positions[tp] = OffsetTracker(event.offset)
        return await accept(self, event)

    PartitionReader.accept = start_here  # type: ignore[method-assign]


def guarded_recovery() -> None:
    """Watchdog and heartbeat begin only after the tables are recovered (Faust's own way)."""
    faust_app.App.begin_with = faust_app.App.task  # type: ignore[method-assign]


def on_assigned() -> None:
    """What Faust fetched before it was ready counts as delivered."""

    async def nothing(self: PartitionReader, partitions: Iterable[TP]) -> None:
        """Do not read again."""

    PartitionReader.on_assigned = nothing  # type: ignore[method-assign]


def lease() -> None:
    """A process acts without proof that its partitions are still its own."""
    Lease.check = lambda self: None  # type: ignore[method-assign]


def fencing() -> None:
    """After a refusal the group coordinator is asked to join again (Faust's own way)."""

    def hear(self: Membership, request: Any, answer: Any, sent_at: float) -> None:
        self._lease.renew(sent_at)

    Membership.heard = hear  # type: ignore[method-assign]


def settling() -> None:
    """A process reads its tables as soon as it has its partitions, whoever had them a moment ago."""
    WorkerPolicy.settle_s = property(lambda _: 0.0)  # type: ignore[assignment,method-assign]


def commit_failure() -> None:
    """Whatever Faust reports of a commit is believed, and awaited without a limit (Faust's own way)."""

    async def send(self: OffsetCommits, offsets: Mapping[TP, int]) -> bool:
        return bool(await self._app.consumer._commit(offsets))  # type: ignore[attr-defined]

    OffsetCommits.send = send  # type: ignore[method-assign]


def watchdog() -> None:
    """Nobody checks for progress."""
    Watchdog.start = lambda self: None  # type: ignore[method-assign]


def cancel_on_revoke() -> None:
    """Handlers continue when their partitions are revoked."""
    Dispatcher.cancel = lambda self: self._tails.clear()  # type: ignore[method-assign]


def leaving() -> None:
    """A worker that ends in order stays in its group, as aiokafka lets a static member do."""

    async def stay(self: Membership) -> None:
        return

    Membership.leave = stay  # type: ignore[method-assign]


def static_membership() -> None:
    """A restarted worker is a new member of its group."""
    build = faust_app.build

    def stranger(app_id: str, policy: WorkerPolicy, lease: Lease) -> faust_app.App:
        app = build(app_id, policy, lease)
        app.conf.consumer_group_instance_id = None  # type: ignore[assignment]  # Faust's own default
        return app

    faust_app.build = stranger


def terms() -> None:
    """What a process wrote after it had lost the partition counts like any other write."""
    recover = MemoryEntries.recover

    def last_wins(self: MemoryEntries, *record: Any) -> None:
        self._terms.clear()
        recover(self, *record)

    MemoryEntries.recover = last_wins  # type: ignore[assignment,method-assign]


def read_committed() -> None:
    """Records of transactions are read before they are committed (Faust's own way)."""
    create = FetchThread._create_worker_consumer

    def uncommitted(self: FetchThread, transport: Any) -> Any:
        consumer = create(self, transport)
        consumer._isolation_level = "read_uncommitted"
        return consumer

    FetchThread._create_worker_consumer = uncommitted  # type: ignore[method-assign]


def reported_losses() -> None:
    """Every gap in the log is treated as a harmless hole."""
    pass_over = PartitionReader._advance_to

    def as_a_gap(self: PartitionReader, tp: TP, position: OffsetTracker, offset: int, log_start: int) -> None:
        pass_over(self, tp, position, offset, 0)

    PartitionReader._advance_to = as_a_gap  # type: ignore[method-assign]


def quarantine() -> None:
    """The next process handles the record that ended this one like any other."""
    Quarantine.__contains__ = lambda self, tp: False  # type: ignore[method-assign]


def topic_watch() -> None:
    """Recreated topics and added partitions are ignored."""
    TopicWatch.start = lambda self: None  # type: ignore[method-assign]


def log_watch() -> None:
    """Nobody asks the log about what no record shows."""

    async def nothing(self: LogWatch) -> None:
        """Do not look."""

    LogWatch.run = nothing  # type: ignore[method-assign]


def _unawaited(those: Callable[[list[Message]], bool]) -> None:
    send = Producer.send

    def forgetful(self: Producer, messages: Iterable[Message], spans: Spans | None = None) -> "asyncio.Future[None]":
        outgoing = list(messages)
        sent = send(self, outgoing, spans)
        return _delivered() if those(outgoing) else sent

    Producer.send = forgetful  # type: ignore[method-assign]


def _is_changelog(outgoing: list[Message]) -> bool:
    return any(message.topic.endswith("-changelog") for message in outgoing)


def _delivered() -> "asyncio.Future[None]":
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


BY_NAME: dict[str, Callable[[], None]] = {
    protection.__name__: protection
    for protection in (
        in_order_acks,
        awaited_changelog,
        awaited_words,
        state_before_words,
        contiguity,
        rereads,
        start_at_committed,
        on_assigned,
        guarded_recovery,
        lease,
        fencing,
        leaving,
        settling,
        commit_failure,
        watchdog,
        cancel_on_revoke,
        static_membership,
        terms,
        read_committed,
        log_watch,
        reported_losses,
        topic_watch,
        quarantine,
    )
}
