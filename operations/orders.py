"""Gives orders: records on the compacted topic `control`, of which the last one for an agent is in force, even after
restarts.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from nightdesk.messaging.blocking_producer import produce
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.operations.installation import Installation
from nightdesk.operations.persons import claimed_name, of_a_person
from nightdesk.processors.charter import Charter
from nightdesk.processors.charter.parsing import charter_to_json
from nightdesk.schemas.audit_records import ordered
from nightdesk.schemas.records import AuditRecord, ControlCommand
from nightdesk.schemas.topics import AUDIT, CONTROL
from nightdesk.streams.control import Control
from nightdesk.streams.control_records import apply_record

EVERY_AGENT = "*"

AppliesTo = Literal["new", "waiting"]
SwitchKind = Literal["pause", "resume", "stop_all"]


class By(NamedTuple):
    """Why an order is given, and by whom, as the audit shows it: the name, and the login if there was one."""

    reason: str
    name: str
    login: str = ""


def charter_orders(charters: Sequence[Charter], applies_to: AppliesTo = "new") -> list[ControlCommand]:
    """Publish each version and promote it, for an installation without workers and without earlier versions."""
    orders = []
    for charter in charters:
        promote = promote_order(charter.agent, charter.version, By("", claimed_name()), applies_to)
        orders += [known_order(charter), promote]
    return orders


def known_order(charter: Charter) -> ControlCommand:
    """Publish a version. It takes no case before it is promoted."""
    return ControlCommand(
        key=f"{charter.agent}/{charter.version}",
        kind="charter",
        agent=charter.agent,
        charter_version=charter.version,
        charter=charter_to_json(charter),
        issued_by=claimed_name(),
        time=datetime.now(UTC),
    )


def promote_order(agent: str, version: str, by: By, applies_to: AppliesTo = "new") -> ControlCommand:
    """Let new cases start with a version that is published."""
    return ControlCommand(
        key=promotion_key(agent),
        kind="promote",
        agent=agent,
        charter_version=version,
        applies_to=applies_to,
        reason=by.reason,
        issued_by=by.name,
        login=by.login,
        time=datetime.now(UTC),
    )


def promotion_key(agent: str) -> str:
    """The key of the orders that say which version is in force."""
    return f"{agent}/promoted"


def switch(settings: Installation, kind: SwitchKind, agent: str, by: By) -> ControlCommand:
    """Stop or resume one agent or all. Returns the order when the broker has it.

    Raises `Failure` for an agent without a charter, because with a misspelled name the right agent would go on.
    """
    if agent != EVERY_AGENT:
        _check_known(agent, read_control(settings).agents() - {EVERY_AGENT})
    order = ControlCommand(
        key=agent,
        kind=kind,
        agent=agent,
        reason=by.reason,
        issued_by=of_a_person(by.name),
        login=by.login,
        time=datetime.now(UTC),
    )
    give_orders(settings, [order])
    record_order(settings, order)
    return order


def _check_known(agent: str, known: Set[str]) -> None:
    if agent not in known:
        remedy = f"Known are {', '.join(sorted(known))}" if known else "Apply a charter: nightdesk charter apply"
        raise Failure(f"there is no agent {agent}, so no order was given", remedy, FailureKind.NOT_FOUND)


def give_orders(settings: Installation, orders: Sequence[ControlCommand]) -> None:
    """Emit the orders; returns when the broker has acknowledged them. Raises `Failure`."""
    with registered_codec(settings, ControlCommand) as codec:
        records = [(order.key, codec.encode(order)) for order in orders]
    produce(settings.kafka, CONTROL, records)


def record_order(settings: Installation, order: ControlCommand) -> None:
    """Record an order in the audit, like stages do for their own orders. Raises `Failure`."""
    with registered_codec(settings, AuditRecord) as codec:
        produce(settings.kafka, AUDIT, [(order.agent, codec.encode(ordered(order, None)))])


def read_control(settings: Installation) -> Control:
    """The orders in force, as stages read them. Raises `Failure`."""
    control = Control()
    with registered_codec(settings, ControlCommand) as codec:
        for message in read_topic(settings.kafka, settings.kafka.topic_prefix + CONTROL.name):
            apply_record(control, codec, message.value())
            if message.partition() == CONTROL.partition:
                control.read_up_to = (message.offset() or 0) + 1
    return control
