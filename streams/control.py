"""The orders and charters of the topic `control`, for every stage.

`control_subscriber.py` reads the compacted topic from its beginning and confirms repeatedly that its end is read. Each
charter version is compiled once. A running case keeps the version that it started with, so old versions stay.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from nightdesk.processors.charter.compiled import CompiledCharter, compile_charter, restricted
from nightdesk.processors.charter.parsing import charter_from_json
from nightdesk.schemas.persons import shown_order
from nightdesk.schemas.records import ControlCommand
from nightdesk.streams.calls_under_way import CallsUnderWay
from nightdesk.streams.confirmation import Confirmation, not_demanded
from nightdesk.streams.metrics import AGENT_STOPPED
from nightdesk.streams.runtime.process.boottime import boottime_s

# How long a stage waits for a charter that an earlier stage has already read.
WAIT_S = 5.0
WAIT_STEP_S = 0.05
# Invented names must not fill the memory.
GIVEN_UP_AT_MOST = 1000

Wait = Callable[[], Awaitable[None]]


class CharterMissing(LookupError):
    """A case names a charter version that was never applied here."""


@dataclass(frozen=True, slots=True)
class Stop:
    """An order to stop that is in force. `offset` is its offset on `control`, `obeyed_at_s` is when it was read
    (boottime).
    """

    order: ControlCommand
    offset: int
    obeyed_at_s: float


def _nobody() -> None:
    """The default callback: does nothing."""


class Control:
    """The orders so far. Written by one thread, read by the loop.

    `confirmation` says how recent they are; without one, no age is checked.
    """

    def __init__(self, confirmation: Confirmation | None = None) -> None:
        self.confirmation = confirmation or not_demanded()
        self.calls = CallsUnderWay()
        # The next offset of `control` to read.
        self.read_up_to = 0
        # The number of applied orders that stop or resume agents.
        self.orders_applied = 0
        # Called by the reading thread after each order to stop.
        self.on_stop: Callable[[], None] = _nobody
        self._stops: dict[str, Stop] = {}
        self._compiled: dict[tuple[str, str], CompiledCharter] = {}
        self._promoted: dict[str, str] = {}
        # Who applied a version, and who promoted it: by agent and version.
        self._put_in_force_by: dict[tuple[str, str], frozenset[str]] = {}
        # The agents whose promoted charter restricts cases of older versions, and the restricted versions.
        self._restricting: set[str] = set()
        self._restricted: dict[tuple[str, str, str], CompiledCharter] = {}
        self._current: tuple[CompiledCharter, ...] = ()
        self._watched: frozenset[str] = frozenset()
        self._reconsidering: frozenset[str] = frozenset()
        self._orders: dict[str, ControlCommand] = {}
        self._changing = threading.Lock()
        self._given_up: set[tuple[str, str]] = set()

    def apply(self, command: ControlCommand, offset: int = -1) -> None:
        """Apply an order; the last one of a key is in force. `offset` is its offset on `control`."""
        with self._changing:
            if command.kind in ("charter", "promote") and command.charter_version:
                of = (command.agent, command.charter_version)
                self._put_in_force_by[of] = self.put_in_force_by(*of) | {command.issued_by}
            if command.kind == "charter" and command.charter and command.charter_version:
                name = (command.agent, command.charter_version)
                if name not in self._compiled:
                    # Under the name with which it was applied, because cases from an older program refer to it by that
                    # name.
                    compiled = compile_charter(charter_from_json(command.charter))
                    self._compiled[name] = replace(compiled, version=command.charter_version)
                    self._watched |= compiled.watched
                    self._reconsidering |= compiled.reconsidering
            elif command.kind == "promote" and command.charter_version:
                self._promote(command.agent, command.charter_version, command.applies_to)
            else:
                self._orders[command.key] = command
                self.orders_applied += 1
                self._stops = {key: stop for key, stop in self._stops.items() if key != command.key}
                if command.kind in ("pause", "stop_all"):
                    self._stops[command.key] = Stop(command, offset, boottime_s())
                AGENT_STOPPED.labels(agent=command.key).set(command.key in self._stops)
            names = list(self._promoted.items())
            self._current = tuple(self._compiled[name] for name in names if name in self._compiled)
        if command.kind in ("pause", "stop_all"):
            self.on_stop()

    def _promote(self, agent: str, version: str, applies_to: str) -> None:
        if applies_to == "waiting":
            self._restricting.add(agent)
        self._promoted[agent] = version
        if applies_to != "waiting":
            self._restricting.discard(agent)
        self._restricted = {name: found for name, found in self._restricted.items() if name[0] != agent}

    def stops(self) -> tuple[Stop, ...]:
        """Every order to stop that is in force."""
        return tuple(self._stops.values())

    def current(self) -> tuple[CompiledCharter, ...]:
        """The promoted charter of every agent."""
        return self._current

    def is_watched(self, event_type: str) -> bool:
        """Whether an event of this type may cancel a follow-up by any version of any charter, because cases keep their
        version.
        """
        return event_type in self._watched

    def is_reason_to_reconsider(self, event_type: str) -> bool:
        """Whether an event of this type may take back a decision that waits for a person, by any version of any
        charter.
        """
        return event_type in self._reconsidering

    def promoted(self, agent: str) -> CompiledCharter | None:
        """The charter of an agent's new cases."""
        return self._compiled.get((agent, self._promoted.get(agent, "")))

    def put_in_force_by(self, agent: str, version: str) -> frozenset[str]:
        """Who applied and who promoted the version. The log keeps the last one who applied each version, and of an
        agent the last promotion.
        """
        return self._put_in_force_by.get((agent, version), frozenset())

    def charter(self, agent: str, version: str) -> CompiledCharter:
        """The version that a case started with. Raises `CharterMissing` at once; `wait_for` waits."""
        known = self.known(agent, version)
        if known is None:
            raise CharterMissing(
                f"charter {version} of {agent} was never applied here: apply that version"
                " (`nightdesk charter apply DIR`), then replay the dead letter"
            )
        return known

    def wait_for(self, *names: tuple[str, str]) -> Wait | None:
        """A handler that waits a moment for missing charters (agent, version) that may arrive; None if none
        is missing.
        """
        missing = [name for name in names if name not in self._compiled and name not in self._given_up]
        return partial(self._come, missing) if missing else None

    async def _come(self, missing: Sequence[tuple[str, str]]) -> None:
        """Return when all have arrived, or after `WAIT_S`. Later calls do not wait for them again."""
        deadline = time.monotonic() + WAIT_S
        while any(name not in self._compiled for name in missing):
            if time.monotonic() >= deadline:
                self._given_up.update(missing[: max(0, GIVEN_UP_AT_MOST - len(self._given_up))])
                return
            await asyncio.sleep(WAIT_STEP_S)

    def resumed_at(self, agent: str) -> float:
        """When the agent was last resumed (epoch seconds); 0 if it never was."""
        orders = (self._orders.get("*"), self._orders.get(agent))
        return max((order.time.timestamp() for order in orders if order and order.kind == "resume"), default=0.0)

    def ordered_at(self, agent: str) -> float:
        """When the agent was last stopped or resumed (epoch seconds); 0 if it never was."""
        orders = (self._orders.get("*"), self._orders.get(agent))
        return max((order.time.timestamp() for order in orders if order), default=0.0)

    def agents(self) -> frozenset[str]:
        """Every agent that a charter or an order names; `*` if an order was for all."""
        orders = (order.agent for order in self._orders.values())
        return frozenset({*self._promoted, *(agent for agent, _ in self._compiled), *orders})

    def orders(self) -> tuple[ControlCommand, ...]:
        """The last order for each agent that ever had one."""
        return tuple(self._orders.values())

    def known(self, agent: str, version: str) -> CompiledCharter | None:
        """The charter, if its order has been read; restricted if the promoted charter applies to waiting cases."""
        own, promoted = self._compiled.get((agent, version)), self.promoted(agent)
        if own is None or promoted is None or promoted is own or agent not in self._restricting:
            return own
        found = self._restricted.get((agent, version, promoted.version))
        if found is None:
            found = self._restricted[agent, version, promoted.version] = restricted(own, promoted)
        return found

    def as_restricted(self, agent: str, version: str, by: str) -> CompiledCharter | None:
        """The version as the charter `by` restricts it (empty: none); None if one of them is unknown."""
        own, stricter = self._compiled.get((agent, version)), self._compiled.get((agent, by))
        return restricted(own, stricter) if own and stricter else None if by else own

    async def charter_soon(self, agent: str, version: str) -> CompiledCharter:
        """Like `charter`, for an async handler: while its record waits for an unknown charter, others continue."""
        wait = self.wait_for((agent, version))
        if wait is not None:
            await wait()
        return self.charter(agent, version)

    def halts(self, agent: str) -> tuple[ControlCommand, ...]:
        """The orders that stop this agent, the strictest first."""
        orders = (self._orders.get("*"), self._orders.get(agent))
        found = [order for order in orders if order is not None and order.kind in ("pause", "stop_all")]
        return tuple(sorted(found, key=lambda order: order.kind != "stop_all"))

    def halted(self, agent: str) -> ControlCommand | None:
        """The strictest order that stops this agent from acting, if there is one. Escalations pass some orders: see
        `processors/execution/orders.py`.
        """
        return next(iter(self.halts(agent)), None)

    def stopped(self, agent: str) -> ControlCommand | None:
        """The order that stops everything of this agent, escalations included: `stop_all`."""
        orders = (self._orders.get("*"), self._orders.get(agent))
        return next((order for order in orders if order and order.kind == "stop_all"), None)

    async def why_no_model(self, agent: str) -> str:
        """Wait until the orders are confirmed. Returns the order that stops the agent from asking models, or an empty
        text.
        """
        await self.confirmation.wait()
        order = self.halted(agent)
        return "" if order is None else shown_order(order)
