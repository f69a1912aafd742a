"""The orders and charters on the `control` topic, as every stage sees them.

Built by the bootstrap, asked by every stage. A thread follows the compacted topic from its beginning; each charter
version is compiled once. A running case keeps the version that it began with, so old versions stay.
"""

import asyncio
import logging
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from processors.charter.compiled import CompiledCharter, compile_charter
from processors.charter.parsing import charter_from_json
from schemas.codec import Codec
from schemas.records import ControlCommand
from schemas.topics import CONTROL
from streams.runtime.fail_stop import ExitCode, fail_stop

log = logging.getLogger(__name__)

# A stage that is a moment behind another waits so long for a charter that the other already has.
WAIT_S = 5.0
START_TIMEOUT_S = 30.0
# Names that somebody invents must not fill the memory.
GIVEN_UP_AT_MOST = 1000
# What bytes that are no order come to, or a charter that its checks let through and its compiler does not.
UNREADABLE = (ValueError, TypeError, LookupError, RecursionError)


class CharterMissing(LookupError):
    """A case names a charter version that was never applied here."""


class Control:
    """What the orders so far come to. Written by one thread, read by the loop."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, str], CompiledCharter] = {}
        self._promoted: dict[str, str] = {}
        self._current: tuple[CompiledCharter, ...] = ()
        self._orders: dict[str, ControlCommand] = {}
        self._changed = threading.Condition()
        self._given_up: set[tuple[str, str]] = set()

    def obey(self, command: ControlCommand) -> None:
        """Take an order; the last of a key stands."""
        with self._changed:
            if command.kind == "charter" and command.charter and command.charter_version:
                name = (command.agent, command.charter_version)
                if name not in self._compiled:
                    # Named as it was applied: cases that began with an older program know it by that name.
                    compiled = compile_charter(charter_from_json(command.charter))
                    self._compiled[name] = replace(compiled, version=command.charter_version)
            elif command.kind == "promote" and command.charter_version:
                self._promoted[command.agent] = command.charter_version
            else:
                self._orders[command.key] = command
            names = list(self._promoted.items())
            self._current = tuple(self._compiled[name] for name in names if name in self._compiled)
            self._changed.notify_all()

    def current(self) -> tuple[CompiledCharter, ...]:
        """The promoted charter of every agent."""
        return self._current

    def promoted(self, agent: str) -> CompiledCharter | None:
        """The charter that new cases of an agent begin with."""
        return self._compiled.get((agent, self._promoted.get(agent, "")))

    def charter(self, agent: str, version: str) -> CompiledCharter:
        """A version that a case began with. Waits a moment for one that is on its way; `CharterMissing` after that."""
        name = (agent, version)
        known = self._compiled.get(name)
        if known is not None:
            return known
        with self._changed:
            if name not in self._compiled and name not in self._given_up:
                self._changed.wait_for(lambda: name in self._compiled, WAIT_S)
            if name not in self._compiled:
                if len(self._given_up) < GIVEN_UP_AT_MOST:
                    self._given_up.add(name)
                raise CharterMissing(
                    f"charter {version} of {agent} was never applied here: apply that version"
                    " (`nightdesk charter apply DIR`), then replay the dead letter"
                )
            self._given_up.discard(name)
            return self._compiled[name]

    def resumed_at(self, agent: str) -> float:
        """When somebody last let the agent act again (epoch seconds); 0 where nobody had to."""
        orders = (self._orders.get("*"), self._orders.get(agent))
        return max((order.time.timestamp() for order in orders if order and order.kind == "resume"), default=0.0)

    def agents(self) -> frozenset[str]:
        """Every agent that a charter or an order names; `*` where an order was to all."""
        orders = (order.agent for order in self._orders.values())
        return frozenset({*self._promoted, *(agent for agent, _ in self._compiled), *orders})

    def orders(self) -> tuple[ControlCommand, ...]:
        """The last order for each agent that ever had one."""
        return tuple(self._orders.values())

    def known(self, agent: str, version: str) -> CompiledCharter | None:
        """The charter, if its order has been read."""
        return self._compiled.get((agent, version))

    async def charter_soon(self, agent: str, version: str) -> CompiledCharter:
        """The same for a conversation: while a record that names what nobody knows waits, the others go on."""
        known = self.known(agent, version)
        return known if known is not None else await asyncio.to_thread(self.charter, agent, version)

    def halted(self, agent: str) -> ControlCommand | None:
        """The order that keeps this agent from acting, if there is one."""
        orders = (self._orders.get("*"), self._orders.get(agent))
        return next((order for order in orders if order and order.kind in ("pause", "stop_all")), None)


def take(control: Control, codec: Codec, value: bytes | None) -> None:
    """Obey an order as it lies in the log. Raises `RegistryUnavailable`: nobody knows what it says, perhaps to stop.

    An order that nobody can read must not stop those that can be read, so it is passed over; its writer checked it.
    """
    if value is None:
        return
    try:
        control.obey(codec.decode(ControlCommand, value))
    except UNREADABLE as error:
        log.error("an order on %s is passed over: %r", CONTROL.name, error)


class ControlFollower:
    """Reads `control` from its beginning and goes on for as long as the process lives, which is not without it."""

    def __init__(self, client_config: Mapping[str, Any], topic_prefix: str, codec: Codec, control: Control) -> None:
        self._topic = topic_prefix + CONTROL.name
        self._codec = codec
        self._control = control
        self._caught_up = threading.Event()
        self._failed: str | None = None
        self._consumer = Consumer(
            {
                **client_config,
                "group.id": "nightdesk-control",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
            }
        )

    def start(self) -> None:
        """Follow; returns when every order so far is known. Raises `TimeoutError` when the broker does not answer."""
        threading.Thread(target=self._follow, name="control", daemon=True).start()
        if not self._caught_up.wait(START_TIMEOUT_S):
            raise TimeoutError(f"{self._topic} could not be read within {START_TIMEOUT_S:.0f} s: {self._failed or ''}")

    def _follow(self) -> None:
        try:
            self._read()
        finally:  # it never returns, and who cannot hear an order to stop must not act
            fail_stop(ExitCode.UNAVAILABLE, f"{self._topic} can no longer be followed: {sys.exception()!r}")

    def _read(self) -> None:
        partitions = self._partitions()
        self._consumer.assign([TopicPartition(self._topic, number, 0) for number in partitions])
        unread = set(partitions)
        while True:
            message = self._consumer.poll(1.0)
            if message is None:
                continue
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                unread.discard(message.partition())
                if not unread:
                    self._caught_up.set()
            elif error is not None:
                self._failed = error.str()
                log.warning("control topic: %s", error.str())
            else:
                take(self._control, self._codec, message.value())

    def _partitions(self) -> list[int]:
        while True:
            try:
                metadata = self._consumer.list_topics(self._topic, timeout=5.0).topics[self._topic]
                if metadata.error is None and metadata.partitions:
                    return list(metadata.partitions)
                self._failed = f"{self._topic} does not exist: run `nightdesk topics apply`"
            except KafkaException as error:
                self._failed = str(error)
            threading.Event().wait(0.5)
