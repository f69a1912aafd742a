"""A test of a route ends well only if the route took the message."""

from dataclasses import dataclass, field

import pytest

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.notifications import try_route
from nightdesk.processors.notifications import Message, RoutePolicy
from nightdesk.processors.playbook import StepResult


@dataclass
class Routes:
    """One route that answers with `result`."""

    result: StepResult
    routes: dict[str, RoutePolicy] = field(default_factory=lambda: {"desk": RoutePolicy()})
    sent: list[Message] = field(default_factory=list)
    is_closed: bool = False

    async def send(self, message: Message) -> StepResult:
        assert not self.is_closed
        self.sent.append(message)
        return self.result

    async def close(self) -> None:
        self.is_closed = True


async def test_what_the_route_took_is_named_by_its_key() -> None:
    routes = Routes(StepResult("done"))
    tested = await try_route(routes, "desk")
    [sent] = routes.sent
    assert (tested.route, tested.key) == (sent.route, sent.key) == ("desk", sent.key)
    assert routes.is_closed


@pytest.mark.parametrize("status", ["failed", "unknown"])
async def test_what_it_did_not_surely_take_is_a_failure_with_its_reason(status: str) -> None:
    routes = Routes(StepResult(status, error="channel_not_found"))  # type: ignore[arg-type]  # one of its words
    with pytest.raises(Failure, match="desk: channel_not_found") as failed:
        await try_route(routes, "desk")
    assert failed.value.kind is FailureKind.UNREACHABLE
    assert routes.is_closed


async def test_an_unknown_route_is_told_those_that_there_are() -> None:
    routes = Routes(StepResult("done"))
    with pytest.raises(Failure, match=r"no route 'dsek'; the settings have: desk") as failed:
        await try_route(routes, "dsek")
    assert failed.value.kind is FailureKind.NOT_FOUND
    assert routes.sent == []
