"""Which version of a charter new cases start with: promote one, go back to the one before, or retire the agent.

An order names the versions that were in force before it, so that going back needs no other record, and a worker that
cannot read the promoted version knows the last one that it can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.charter_readers import oldest_reader
from nightdesk.operations.installation import Installation
from nightdesk.operations.orders import (
    AppliesTo,
    By,
    give_orders,
    known_order,
    promote_order,
    promotion_key,
    read_control,
    record_order,
)
from nightdesk.processors.charter import Charter
from nightdesk.schemas.records import ControlCommand
from nightdesk.streams.control import Control
from nightdesk.streams.known_charters import Promotion

# A worker whose program cannot read the newest of them goes back to the first that it can.
VERSIONS_BEFORE = 10


def apply_charters(installation: Installation, charters: Sequence[Charter]) -> None:
    """Publish these versions. None takes a case before it is promoted. Raises `Failure`."""
    give_orders(installation, [known_order(charter) for charter in charters])


def promote(
    installation: Installation, versions: Mapping[str, str], by: By, applies_to: AppliesTo = "new"
) -> list[ControlCommand]:
    """New cases start with these versions (agent -> version); running ones keep theirs, and with `waiting` they are
    restricted. Returns the orders when the broker has them.

    Raises `Failure` for a version that was never applied or that a running worker cannot read; then nothing changes.
    """
    control = read_control(installation)
    _check_applied(control, versions)
    oldest = oldest_reader(installation, versions, control)
    orders = [
        promote_order(agent, version, by, applies_to).model_copy(
            update={"before": _before(control.promotion(agent), version), "oldest_program": oldest}
        )
        for agent, version in versions.items()
    ]
    return _give(installation, orders)


def roll_back(installation: Installation, agent: str, by: By) -> ControlCommand:
    """New cases start with the version that was in force before the last promotion, or before the agent was retired.

    Raises `Failure` if there is none, or if a running worker cannot read it.
    """
    control = read_control(installation)
    before = _promotion(control, agent).before
    if not before:
        raise Failure(
            f"no version of {agent} was in force before", "See `nightdesk charter list`", FailureKind.NOT_FOUND
        )
    oldest = oldest_reader(installation, {agent: before[0]}, control)
    order = promote_order(agent, before[0], by)
    [given] = _give(installation, [order.model_copy(update={"before": before[1:], "oldest_program": oldest})])
    return given


def retire(installation: Installation, agent: str, by: By) -> ControlCommand:
    """The agent takes no more events; its running cases go on with their version. Raises `Failure` if it takes none."""
    promotion = _promotion(read_control(installation), agent)
    if not promotion.version:
        raise Failure(f"{agent} is retired already", "To bring it back: nightdesk charter rollback")
    order = ControlCommand(
        key=promotion_key(agent),
        kind="retire",
        agent=agent,
        before=_before(promotion, ""),
        reason=by.reason,
        issued_by=by.name,
        login=by.login,
        time=datetime.now(UTC),
    )
    [given] = _give(installation, [order])
    return given


def _give(installation: Installation, orders: Sequence[ControlCommand]) -> list[ControlCommand]:
    give_orders(installation, orders)
    for order in orders:
        record_order(installation, order)
    return list(orders)


def _before(promotion: Promotion, version: str) -> tuple[str, ...]:
    """What was in force before `version`, the latest first."""
    known = (promotion.version, *promotion.before)
    return tuple(one for one in dict.fromkeys(known) if one and one != version)[:VERSIONS_BEFORE]


def _check_applied(control: Control, versions: Mapping[str, str]) -> None:
    for agent, version in versions.items():
        if not control.is_applied(agent, version):
            raise Failure(
                f"{agent} has no version {version}",
                "Apply it: nightdesk charter apply FOLDER; `nightdesk charter list` names those that are known",
                FailureKind.NOT_FOUND,
            )


def _promotion(control: Control, agent: str) -> Promotion:
    promotion = control.promotion(agent)
    if not promotion.version and not promotion.before:
        raise Failure(f"no charter of {agent} was ever promoted", "See `nightdesk charter list`", FailureKind.NOT_FOUND)
    return promotion
