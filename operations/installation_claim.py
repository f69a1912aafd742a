"""Says which installation owns the topics of a prefix: its name is on `control`, where its first charters were written
with it.

Two installations on one prefix would share consumer groups: each event would be decided by whichever reads it, with its
own credentials and limits. A worker that reads another name there exits (`streams/control_subscriber.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.installation import Installation
from nightdesk.operations.orders import EVERY_AGENT, give_orders, read_control, record_order
from nightdesk.operations.persons import claimed_name
from nightdesk.schemas.records import ControlCommand

KEY = "installation"


def check_installation(installation: Installation, name: str) -> None:
    """Raises `Failure` if the topics belong to another installation."""
    _check_owner(installation, name, read_control(installation).installation)


def _check_owner(installation: Installation, name: str, owner: str) -> None:
    if owner and owner != name:
        raise Failure(
            f"the topics {installation.kafka.topic_prefix}* belong to the installation {owner}, and this is {name}",
            "Give this one a NIGHTDESK_KAFKA__TOPIC_PREFIX of its own. If it replaces the other, stop all processes of"
            f" the other and run `nightdesk topics claim`; or set NIGHTDESK_INSTALLATION={owner}",
            FailureKind.NOT_CONFIGURED,
        )


def claim_if_free(installation: Installation, name: str) -> None:
    """Claim the topics if nobody has. Raises `Failure` if another installation owns them."""
    owner = read_control(installation).installation
    _check_owner(installation, name, owner)
    if not owner:
        claim_topics(installation, name)


def claim_topics(installation: Installation, name: str) -> None:
    """Make this installation the owner of the topics. Running workers of another installation then exit. Raises
    `Failure`.
    """
    order = ControlCommand(
        key=KEY,
        kind="installation",
        agent=EVERY_AGENT,
        reason=f"the topics belong to {name}",
        installation=name,
        issued_by=claimed_name(),
        time=datetime.now(UTC),
    )
    give_orders(installation, [order])
    record_order(installation, order)
