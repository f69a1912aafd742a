"""The protections of the layer, each with the small patch that takes it away.

Called by the worker before the faults. `tests/protections/test_protections.py` holds that with any one of them gone its
scenario finds fault: a protection that can be removed unnoticed is none.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from faust.types import TP

from streams.runtime import faust_app
from streams.runtime.delivery import RawEvent
from streams.runtime.dispatcher import Dispatcher
from streams.runtime.intake import Finish, Intake
from streams.runtime.liveness import FreezeGuard, Watchdog
from streams.runtime.policy import WorkerPolicy
from streams.runtime.positions import Position
from streams.runtime.producer import Message, Producer
from streams.runtime.tables import FactTable


def in_order_acks() -> None:
    """A record that finishes is committed, whatever before it has not (Faust's own way)."""

    def finish(self: Position, offset: int) -> None:
        self.committable = max(self.committable, offset + 1)

    Position.finish = finish  # type: ignore[method-assign]


def awaited_changelog() -> None:
    """Facts are sent and not waited for (Faust's own way)."""
    _unawaited(_is_changelog)


def awaited_words() -> None:
    """Words are sent and not waited for."""
    _unawaited(lambda outgoing: not _is_changelog(outgoing))


def state_before_words() -> None:
    """Words go out together with the facts; the record is done when both are durable."""
    send = Producer.send
    facts: list[asyncio.Future[None]] = []

    def at_once(self: Producer, messages: Iterable[Message]) -> Any:
        outgoing = list(messages)
        if _is_changelog(outgoing):
            facts.append(send(self, outgoing))
            return _delivered()
        return asyncio.gather(send(self, outgoing), *facts)

    Producer.send = at_once  # type: ignore[method-assign]


def contiguity() -> None:
    """A gap is passed over as if the log had a hole there."""

    async def pass_over(self: Intake, tp: TP, position: Position, offset: int) -> None:
        position.skip_hole(offset)

    Intake._judge_gap = pass_over  # type: ignore[method-assign]


def start_at_committed() -> None:
    """A partition starts at whatever comes first."""
    accept = Intake.accept
    begun: set[tuple[TP, int]] = set()

    async def start_here(self: Intake, event: RawEvent) -> Finish | None:
        tp = event.tp
        if (tp, self.epoch) not in begun:
            begun.add((tp, self.epoch))
            self._positions[tp] = Position(event.offset)
        return await accept(self, event)

    Intake.accept = start_here  # type: ignore[method-assign]


def guarded_recovery() -> None:
    """Watchdog and beat begin only when the tables are recovered (Faust's own way)."""
    faust_app.App.begin_with = faust_app.App.task  # type: ignore[method-assign]


def take_over() -> None:
    """What Faust fetched before it was ready is taken to have come."""

    async def nothing(self: Intake, partitions: Iterable[TP]) -> None:
        """Do not read again."""

    Intake.take_over = nothing  # type: ignore[method-assign]


def freeze_guard() -> None:
    """A process that stood still goes on as if nothing had been."""
    FreezeGuard.check = lambda self: None  # type: ignore[method-assign]


def watchdog() -> None:
    """Nobody looks whether anything moves."""
    Watchdog.start = lambda self: None  # type: ignore[method-assign]


def cancel_on_revoke() -> None:
    """Conversations go on when their partitions are gone."""
    Dispatcher.cancel = lambda self: self._tails.clear()  # type: ignore[method-assign]


def static_membership() -> None:
    """A worker that starts again is a stranger to its group."""
    build = faust_app.build

    def stranger(app_id: str, policy: WorkerPolicy) -> faust_app.App:
        app = build(app_id, policy)
        app.conf.consumer_group_instance_id = None  # type: ignore[assignment]  # Faust's own default
        return app

    faust_app.build = stranger


def terms() -> None:
    """What a process wrote after it had lost the partition counts as much as anything."""
    recover = FactTable._recover

    def last_wins(self: FactTable, partition: int, key: bytes | None, value: bytes | None) -> None:
        self._recovered_terms.clear()
        recover(self, partition, key, value)

    FactTable._recover = last_wins  # type: ignore[method-assign]


def _unawaited(those: Callable[[list[Message]], bool]) -> None:
    send = Producer.send

    def forgetful(self: Producer, messages: Iterable[Message]) -> "asyncio.Future[None]":
        outgoing = list(messages)
        sent = send(self, outgoing)
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
        start_at_committed,
        take_over,
        guarded_recovery,
        freeze_guard,
        watchdog,
        cancel_on_revoke,
        static_membership,
        terms,
    )
}
