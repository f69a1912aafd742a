"""A model provider under the real chain and its circuit. It reads its ticket and answers after seconds, or is away."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from random import Random
from typing import Any

import orjson

from nightdesk.effects.llm.call import ProviderCall
from nightdesk.effects.llm.failures import kind_of_status
from nightdesk.effects.llm.protocol import Kind, ModelError
from nightdesk.processors.model import ModelReply, ModelRequest, ModelUsage
from tests.nights.outages import Outages
from tests.nights.schedule import Schedule
from tests.simulator.agenda import Life
from tests.simulator.process import outside
from tests.streams.stages.stage_harness import Clock

NAME = "anthropic"
LATENCY_S = (1.0, 5.0)
FAILS_AFTER_S = 0.2
OUTPUT_TOKENS = 120
# How often the model takes each action, where the ticket allows it.
ACTIONS = {"respond": 62, "refund": 16, "escalate": 12, "research": 8, "wait": 2}
LARGEST_REFUND = 100


@dataclass(slots=True)
class Provider:
    """What stays when a worker dies: who was asked when, and the bill."""

    seed: int
    clock: Clock
    outages: Outages
    asked_at: list[datetime] = field(default_factory=list)
    answered: int = 0
    billed_microusd: int = 0


@dataclass(frozen=True, slots=True)
class Connected:
    """`nightdesk.effects.llm.protocol.Provider` of one worker."""

    provider: Provider
    schedule: Schedule
    life: Callable[[], Life]
    name: str = NAME

    async def ask(self, request: ModelRequest) -> ModelReply:
        """Raises `ModelError`."""
        provider = self.provider
        call = ProviderCall(NAME, request, provider.clock())
        provider.asked_at.append(provider.clock())
        answer = provider.outages.answer([NAME])
        if answer is not None:
            await self._pass(request.timeout_seconds if answer == "lost" else FAILS_AFTER_S)
            raise _failure(call, answer, provider)
        rng = Random(f"{provider.seed}:{request.prompt}")
        latency_s = rng.uniform(*LATENCY_S)
        await self._pass(latency_s)
        reply = call.answered(_text(request, rng), "end_turn", _usage(request), None)
        provider.answered += 1
        provider.billed_microusd += reply.cost_microusd
        return reply.model_copy(update={"latency_ms": round(latency_s * 1000)})

    async def _pass(self, seconds: float) -> None:
        life = self.life()
        await outside(lambda resume: self.schedule.after(seconds, partial(resume, None), life))

    async def aclose(self) -> None:
        """Nothing is held."""


def _failure(call: ProviderCall, answer: object, provider: Provider) -> ModelError:
    if answer == "lost":
        provider.billed_microusd += call.worst_microusd
        return call.failed(Kind.TIMEOUT, "no answer in time")
    if isinstance(answer, int):
        return call.failed(kind_of_status(answer, ""), f"HTTP {answer}")
    return call.failed(Kind.CONNECTION, str(answer))


def _usage(request: ModelRequest) -> ModelUsage:
    return ModelUsage(input_tokens=len(request.system + request.prompt) // 4, output_tokens=OUTPUT_TOKENS)


def _text(request: ModelRequest, rng: Random) -> str:
    event, has_history = _read(request.prompt)
    found = event.get("data")
    data: dict[str, Any] = found if isinstance(found, dict) else {}
    action = _action(event, data, has_history, rng)
    parameters: dict[str, dict[str, Any]] = {
        "respond": {"text": "Thank you for writing. We have looked at it."},
        "check_back": {"text": "Did our answer help?"},
        "refund": {"amount": data.get("amount"), "reason": "charged twice"},
        "escalate": {"reason": "a person has to look"},
        "research": {"customer": data.get("customer")},
        "wait": {"after": "12h"},
    }
    answer = {
        "reasoning": "as the ticket says",
        "action": action,
        "parameters": parameters[action],
        "confidence": 0.95,
    }
    return orjson.dumps(answer).decode()


def _action(event: dict[str, Any], data: dict[str, Any], has_history: bool, rng: Random) -> str:
    if event.get("type") == "ticket.followup":
        earlier = data.get("case", {}).get("decision", {}).get("action")
        return "check_back" if earlier == "respond" else "escalate"
    amount = data.get("amount")
    possible = {
        "refund": isinstance(amount, int | float) and 0 < amount <= LARGEST_REFUND,
        "research": bool(data.get("customer")) and not has_history,
        "wait": not has_history,
    }
    actions = {action: weight for action, weight in ACTIONS.items() if possible.get(action, True)}
    return rng.choices(list(actions), list(actions.values()))[0]


def _read(prompt: str) -> tuple[dict[str, Any], bool]:
    """The event of a question, and whether there were steps before."""
    _, _, rest = prompt.partition("The event:\n")
    fence, _, rest = rest.partition("\n")
    found = orjson.loads(rest.partition(f"\n{fence}")[0])
    return found, f"{fence}\n\nStep 0" in prompt
