"""Finds the order that holds a decision. Pure.

An escalation brings a case to a person, which an owner wants most while an agent is stopped. So only a stop of all
agents holds it.
"""

from collections.abc import Iterable
from typing import NamedTuple

from nightdesk.schemas.records import ControlCommand, Decision

EVERY_AGENT = "*"


class OrderScope(NamedTuple):
    """Decisions that wait for the same orders: those of an agent that escalate, and its others."""

    agent: str
    escalates: bool


def scope_of(decision: Decision) -> OrderScope:
    """The scope of a decision."""
    return OrderScope(decision.case.agent, decision.kind == "escalate")


def order_against(orders: Iterable[ControlCommand], *, escalates: bool) -> ControlCommand | None:
    """The first of the agent's orders to stop that holds the decision; `escalates`: the decision's action is of kind
    `escalate`.
    """
    return next((order for order in orders if not escalates or _stops_everything(order)), None)


def _stops_everything(order: ControlCommand) -> bool:
    return order.kind == "stop_all" and order.agent == EVERY_AGENT
