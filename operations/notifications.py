"""Tests a route of notifications with a message."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import uuid4

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.processors.notifications import Batch, Message, RoutePolicy, message_of
from nightdesk.processors.playbook import StepResult


class Sends(Protocol):
    """Sends messages by the routes of the settings."""

    @property
    def routes(self) -> Mapping[str, RoutePolicy]: ...

    async def send(self, message: Message) -> StepResult: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Tested:
    """The route accepted the test message, which had this key."""

    route: str
    key: str


async def try_route(notifier: Sends, route: str) -> Tested:
    """Send a test message at once, even in quiet hours. Raises `Failure`."""
    if route not in notifier.routes:
        known = ", ".join(sorted(notifier.routes)) or "none"
        raise Failure(
            f"there is no route {route!r}; the settings have: {known}",
            "Set NIGHTDESK_NOTIFY__NAME__CHANNEL and what the channel needs: docs/how-to/notifications.md",
            FailureKind.NOT_FOUND,
        )
    now = datetime.now(UTC)
    batch = Batch(
        batch_id=str(uuid4()),
        route=route,
        event_class="test",
        first_at=now,
        last_at=now,
        due_at=now,
        count=1,
        items=("This is a test by `nightdesk notify test`. Nothing happened.",),
    )
    try:
        result = await notifier.send(message_of(batch))
    finally:
        await notifier.close()
    if result.status != "done":
        raise Failure(f"route {route}: {result.error}", "Correct the settings of the route", FailureKind.UNREACHABLE)
    return Tested(route, batch.batch_id)
