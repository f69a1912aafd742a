"""What happens to a call that a process began before it died."""

from dataclasses import dataclass, field

import pytest

from nightdesk.effects.handlers.perform import perform
from nightdesk.effects.handlers.protocol import StepCall
from nightdesk.processors.playbook import StepResult
from tests.effects.handlers.conftest import Build, call
from tests.fakes.action_server import ActionServer


@dataclass
class Remembers:
    """A handler that takes no keys, for a system that can be asked what it did."""

    repeatable = False
    effects: list[str] = field(default_factory=list)

    async def run(self, call: StepCall) -> StepResult:
        self.effects.append(call.step_id)
        return StepResult("done", '"run"')

    async def reconcile(self, call: StepCall) -> StepResult:
        happened = call.step_id in self.effects
        return StepResult("done", '"asked"') if happened else StepResult("unknown", absent=True)


@pytest.mark.parametrize("happened", [True, False])
async def test_a_system_that_can_be_asked_is_asked_and_nothing_is_done(happened: bool) -> None:
    handler = Remembers(["step-1"] if happened else [])
    result = await perform(handler, call(), begun=True)
    assert result == (StepResult("done", '"asked"') if happened else StepResult("unknown", absent=True))
    assert handler.effects == (["step-1"] if happened else [])


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
