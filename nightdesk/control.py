"""Orders: records on the compacted `control` topic. Given by `nightdesk charter apply` and the switches, read by
`nightdesk budget` and `status`.
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime

from nightdesk.reading import read_topic
from nightdesk.registered_codec import registered_codec
from nightdesk.saying import say
from nightdesk.settings import Settings
from processors.charter import Charter
from processors.charter.parsing import charter_to_json
from schemas.records import ControlCommand
from schemas.topics import AUDIT, CONTROL
from streams.charters import Control, take
from streams.stages.audit import ordered


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
    say(settings.kafka, CONTROL, records)


def record_order(settings: Settings, order: ControlCommand) -> None:
    """Say in the audit that an order was given, as the stages do when they give one. Raises `Failure`."""
    with registered_codec(settings) as codec:
        say(settings.kafka, AUDIT, [(order.agent, codec.encode(ordered(order, None)))])


def read_control(settings: Settings) -> Control:
    """What the orders so far come to, as the stages see them. Raises `Failure`."""
    control = Control()
    with registered_codec(settings) as codec:
        for message in read_topic(settings.kafka, settings.kafka.topic_prefix + CONTROL.name):
            take(control, codec, message.value())
    return control
