"""A model that answers, fails and gives wrong answers, and its provider's bill.

The decide stage gets it as its `Models`. It never gives the same answer twice, so an answer that is bought again is
detected. A question has two steps: it arrives (and is paid), and the answer arrives; a process can die between them.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from random import Random

import orjson

from nightdesk.processors.model import ModelReply, ModelRequest, ModelUnavailable, ModelUsage, WhyNot, stopped
from nightdesk.processors.prices import worst_ask_price_microusd
from nightdesk.schemas.records import Fallback
from tests.simulator.agenda import Agenda, Life
from tests.simulator.process import Resume, outside
from tests.streams.stages.stage_harness import Clock

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
    """What survives a process: the provider's answers, and its charges for each event."""

    rng: Random
    clock: Clock
    away_until: datetime
    billed_microusd: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def answer(self, providers: Sequence[str], request: ModelRequest) -> ModelReply | ModelUnavailable:
        """An answer, which is paid for, or none, paid for or not."""
        worst_microusd = worst_ask_price_microusd(providers, request, self.clock())
        if self.clock() < self.away_until:
            return _nothing("overloaded", retryable=True)
        chance = self.rng.random()
        if chance < 0.04:
            return _nothing("overloaded", retryable=True)
        if chance < 0.06:
            return _nothing("refused")
        cost_microusd = worst_microusd if chance < 0.3 else int(worst_microusd * self.rng.random())
        self.billed_microusd[_event(request)] += cost_microusd
        if chance < 0.12:  # it was answered, and the answer was lost on the way
            return _nothing("timeout", worst_microusd, retryable=chance < 0.09)
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


def _nothing(reason: str, unanswered_cost_microusd: int = 0, *, retryable: bool = False) -> ModelUnavailable:
    fallback = Fallback(provider="anthropic", reason=reason, called=True)
    return ModelUnavailable(reasons=(fallback,), unanswered_cost_microusd=unanswered_cost_microusd, retryable=retryable)


@dataclass(frozen=True, slots=True)
class Asking:
    """`nightdesk.streams.ports.Models` of one process."""

    provider: Provider
    agenda: Agenda
    life: Callable[[], Life]

    async def ask(
        self, providers: Sequence[str], request: ModelRequest, agent: str, why_not: WhyNot
    ) -> ModelReply | ModelUnavailable:
        if reason := await why_not():
            return stopped(providers[0], reason)

        def arrive(resume: Resume) -> None:
            resume(self.provider.answer(providers, request))

        found: ModelReply | ModelUnavailable = await outside(
            lambda resume: self.agenda.add(self.life(), partial(arrive, resume))
        )
        return found

    async def close(self) -> None:
        """Nothing is held."""
