"""Giving orders: records on the compacted `control` topic. Called by `nightdesk charter apply` and the switches."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime

from nightdesk.registered_codec import registered_codec
from nightdesk.saying import say
from nightdesk.settings import Settings
from processors.charter import Charter
from processors.charter.parsing import charter_to_json
from schemas.records import ControlCommand
from schemas.topics import CONTROL


def charter_orders(charters: Sequence[Charter]) -> list[ControlCommand]:
    """Make each version known, then let new cases begin with it."""
    orders = []
    for charter in charters:
        promote = ControlCommand(
            key=f"{charter.agent}/promoted",
            kind="promote",
            agent=charter.agent,
            charter_version=charter.version,
            issued_by=getpass.getuser(),
            time=datetime.now(UTC),
        )
        known = {"key": f"{charter.agent}/{charter.version}", "kind": "charter", "charter": charter_to_json(charter)}
        orders += [promote.model_copy(update=known), promote]
    return orders


def give_orders(settings: Settings, orders: Sequence[ControlCommand]) -> None:
    """Say the orders; returns when the broker has them. Raises `Failure`."""
    with registered_codec(settings) as codec:
        records = [(order.key, codec.encode(order)) for order in orders]
    # One partition, so that orders come in the order in which they were given.
    say(settings.kafka, CONTROL, records, partition=0)
