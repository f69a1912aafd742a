"""What becomes of a call that a process began before it was gone."""

from dataclasses import dataclass, field

import pytest

from effects.actions.perform import perform
from effects.actions.protocol import Call, Result
from tests.effects.actions.conftest import Build, call
from tests.fakes.action_server import ActionServer


@dataclass
class Remembers:
    """A handler that takes no keys, for a system that can be asked what it did."""

    repeatable = False
    effects: list[str] = field(default_factory=list)

    async def run(self, call: Call) -> Result:
        self.effects.append(call.idempotency_key)
        return Result("done", '"run"')

    async def reconcile(self, call: Call) -> Result | None:
        return Result("done", '"asked"') if call.idempotency_key in self.effects else None


@pytest.mark.parametrize("happened", [True, False])
async def test_a_system_that_can_be_asked_is_asked_first(happened: bool) -> None:
    handler = Remembers(["step-1"] if happened else [])
    result = await perform(handler, call(), begun=True)
    assert result == Result("done", '"asked"' if happened else '"run"')
    assert handler.effects == ["step-1"]


async def test_a_first_call_asks_nothing() -> None:
    assert (await perform(Remembers(["step-1"]), call(), begun=False)).result == '"run"'


@pytest.mark.parametrize("idempotent", ["key", "natural"])
async def test_a_call_that_can_be_repeated_is_made_again(build: Build, server: ActionServer, idempotent: str) -> None:
    action = build(idempotent=idempotent)
    first, second = await action.run(call()), await perform(action, call(), begun=True)
    assert first == second
    assert (len(server.requests), len(server.tally.effects)) == (2, 1)


async def test_any_other_call_is_unknown_and_never_made_again(build: Build, server: ActionServer) -> None:
    result = await perform(build(idempotent="none"), call(), begun=True)
    assert (result.status, result.retryable, server.connections) == ("unknown", False, 0)
