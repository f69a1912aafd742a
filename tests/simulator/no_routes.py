"""A notifier without routes: the worlds of the simulator tell nobody."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from nightdesk.processors.notifications import Message, RoutePolicy
from nightdesk.processors.playbook import StepResult


@dataclass(frozen=True, slots=True)
class NoRoutes:
    """A notifier without routes, which tells nobody."""

    routes: Mapping[str, RoutePolicy] = field(default_factory=dict)
    closes: Collection[str] = ()

    async def send(self, message: Message) -> StepResult:
        return StepResult("failed", error=f"there is no route {message.route!r}")

    async def close(self) -> None:
        """Nothing is held."""
