"""A model that answers, fails and lies, and its provider's bill.

Given to the decide stage as its `Models`. It never answers the same twice, so an answer that is bought again is found
out. It is asked in two steps: the question arrives (and is paid), the answer arrives; a process can die between them.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

import orjson

from processors.deciding import ModelUnavailable
from processors.model import ModelReply, ModelRequest, ModelUsage
from processors.prices import worst_ask_price_microusd
from schemas.records import Fallback
from tests.simulator.agenda import Agenda, Life
from tests.simulator.process import Resume, outside
from tests.streams.stages.bench import Clock

EVENT_ID = re.compile(r'"event": "(e-\d+)"')
USAGE = ModelUsage(input_tokens=10, output_tokens=5)
# Action, parameters and how often: what is sensible first, then what no charter allows.
ANSWERS: tuple[tuple[str, dict[str, object], float, int], ...] = (
    ("respond", {"text": "tomorrow"}, 0.95, 30),
    ("refund", {"amount": 40.0}, 0.95, 12),
    ("refund", {"amount": 60.0}, 0.95, 8),
    ("look", {}, 0.9, 10),
    ("wait", {"after": "2h"}, 0.9, 6),
    ("escalate", {"reason": "angry"}, 0.9, 5),
    ("respond", {"text": "maybe"}, 0.6, 6),
    ("refund", {"amount": 5000.0}, 1.0, 4),
    ("burn", {}, 1.0, 3),
    ("refund", {"amount": "all"}, 1.0, 2),
)


def _text(action: str, parameters: dict[str, object], confidence: float) -> str:
    answer = {"reasoning": "because", "action": action, "parameters": parameters, "confidence": confidence}
    return orjson.dumps(answer).decode()


TEXTS = (*(_text(*answer[:3]) for answer in ANSWERS), "I would rather not say.")
WEIGHTS = (*(weight for *_, weight in ANSWERS), 5)


@dataclass(slots=True)
class Provider:
    """What stays when a process dies: what it answered to whom, and what it charges for each event."""

    rng: Random
    clock: Clock
    billed_microusd: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def answer(self, providers: Sequence[str], request: ModelRequest) -> ModelReply | ModelUnavailable:
        """One answer, paid for; or none, paid for or not."""
        worst_microusd = worst_ask_price_microusd(providers, request, self.clock())
        chance = self.rng.random()
        if chance < 0.06:
            return _nothing("refused")
        cost_microusd = worst_microusd if chance < 0.3 else int(worst_microusd * self.rng.random())
        self.billed_microusd[_event(request)] += cost_microusd
        if chance < 0.12:  # it was answered, and the answer was lost on the way
            return _nothing("timeout", worst_microusd)
        return ModelReply(
            provider="anthropic",
            model=request.model,
            text=self.rng.choices(TEXTS, WEIGHTS)[0],
            stop_reason="end_turn",
            usage=USAGE,
            cost_microusd=cost_microusd,
            latency_ms=int(self.rng.random() * 2000),
        )


def _event(request: ModelRequest) -> str:
    found = EVENT_ID.search(request.prompt)
    assert found, f"the prompt does not name its event: {request.prompt}"
    return found[1]


def _nothing(reason: str, maybe_paid_microusd: int = 0) -> ModelUnavailable:
    fallback = Fallback(provider="anthropic", reason=reason)
    return ModelUnavailable(reasons=(fallback,), maybe_paid_microusd=maybe_paid_microusd)


@dataclass(frozen=True, slots=True)
class Asking:
    """`streams.ports.Models` of one process."""

    provider: Provider
    agenda: Agenda
    life: Callable[[], Life]

    async def ask(self, providers: Sequence[str], request: ModelRequest) -> ModelReply | ModelUnavailable:
        def arrive(resume: Resume) -> None:
            resume(self.provider.answer(providers, request))

        found: ModelReply | ModelUnavailable = await outside(
            lambda resume: self.agenda.add(self.life(), partial(arrive, resume))
        )
        return found

    async def close(self) -> None:
        """Nothing is held."""
