"""The orders and charters of the topic `control`, for every stage.

`control_subscriber.py` reads the compacted topic from its beginning and confirms repeatedly that its end is read.
`known_charters.py` keeps the charters.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from nightdesk.schemas.records import ControlCommand
from nightdesk.streams.calls_under_way import CallsUnderWay
from nightdesk.streams.confirmation import Confirmation, not_demanded
from nightdesk.streams.known_charters import KnownCharters
from nightdesk.streams.metrics import AGENT_STOPPED
from nightdesk.streams.runtime.process.boottime import boottime_s


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


class Control(KnownCharters):
    """The charters and orders so far. Written by one thread, read by the loop.

    `confirmation` says how recent they are; without one, no age is checked.
    """

    def __init__(self, confirmation: Confirmation | None = None) -> None:
        super().__init__()
        self.confirmation = confirmation or not_demanded()
        self.calls = CallsUnderWay()
        # The next offset of `control` to read.
        self.read_up_to = 0
        # The installation to which the topics belong; empty before the first one has claimed them.
        self.installation = ""
        # The number of applied orders that stop or resume agents.
        self.orders_applied = 0
        # Called by the reading thread after each order to stop.
        self.on_stop: Callable[[], None] = _nobody
        self._stops: dict[str, Stop] = {}
        self._orders: dict[str, ControlCommand] = {}
        self._changing = threading.Lock()

    def apply(self, command: ControlCommand, offset: int = -1) -> None:
        """Apply an order; the last one of a key is in force. `offset` is its offset on `control`."""
        with self._changing:
            try:
                self._apply(command, offset)
            finally:
                self._renew_current()
        if command.kind in ("pause", "stop_all"):
            self.on_stop()

    def _apply(self, command: ControlCommand, offset: int) -> None:
        self._note_person(command)
        if command.kind == "charter" and command.charter and command.charter_version:
            self._add(command.agent, command.charter_version, command.charter)
        elif command.kind == "promote" and command.charter_version:
            self._promote(command)
        elif command.kind == "retire":
            self._retire(command)
        elif command.kind == "installation":
            self.installation = command.installation
        else:
            self._orders[command.key] = command
            self.orders_applied += 1
            self._stops = {key: stop for key, stop in self._stops.items() if key != command.key}
            if command.kind in ("pause", "stop_all"):
                self._stops[command.key] = Stop(command, offset, boottime_s())
            AGENT_STOPPED.labels(agent=command.key).set(command.key in self._stops)

    def stops(self) -> tuple[Stop, ...]:
        """Every order to stop that is in force."""
        return tuple(self._stops.values())

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
