"""Puts a known version of a charter in force again, as after a new one that turned out to be wrong."""

from __future__ import annotations

from datetime import UTC, datetime

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.agents import read_agent
from nightdesk.operations.installation import Installation
from nightdesk.operations.orders import give_orders, record_order
from nightdesk.operations.persons import of_a_person
from nightdesk.schemas.records import ControlCommand


def promote(installation: Installation, name: str, version: str, reason: str, person: str) -> ControlCommand:
    """New cases start with this version; running ones keep theirs. Returns the order when the broker has it.

    Raises `Failure` for a version that was never applied.
    """
    agent = read_agent(installation, name)
    if version not in {one.version for one in agent.versions}:
        raise Failure(
            f"{name} has no version {version}", "Apply it: nightdesk charter apply FOLDER", FailureKind.NOT_FOUND
        )
    order = ControlCommand(
        key=f"{name}/promoted",
        kind="promote",
        agent=name,
        charter_version=version,
        reason=reason,
        issued_by=of_a_person(person),
        time=datetime.now(UTC),
    )
    give_orders(installation, [order])
    record_order(installation, order)
    return order
