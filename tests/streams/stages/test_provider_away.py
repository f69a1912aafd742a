"""A model provider that is away for a while hands no case to a person, and is asked only by probes meanwhile.

The budget and decide stages run together, with the real chain of providers and its circuits, on a simulated clock.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from nightdesk.adapters import ProviderModels
from nightdesk.effects.llm.chain import ProviderChain
from nightdesk.effects.llm.protocol import Kind, ModelError
from nightdesk.processors.charter import CompiledCharter
from nightdesk.processors.ledger.entries import reservation
from nightdesk.processors.model import ModelReply, ModelRequest
from nightdesk.schemas.records import BudgetEntry, Case, Decision, Timer
from nightdesk.schemas.topics import ACT, BUDGET, DECIDE, TIMERS
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.stages.budget import Budget
from nightdesk.streams.stages.circuits import Circuits
from nightdesk.streams.stages.decide import BREAKER, Decide
from tests.processors.examples import NOW, answer, case, compiled, event, reply
from tests.streams.stages.stage_harness import CODEC, Bench, Clock, Crash, in_force, said

CHARTER = compiled(
    ("provider: [anthropic, rules]", "provider: [anthropic, rules]\n  when_unavailable: wait"),
    ("per_day_usd: 25", "per_day_usd: 1000"),
)


@dataclass
class Provider:
    """Answers, or fails with what `failure` says of the moment."""

    clock: Clock
    failure: Callable[[float], Kind | None]
    name: str = "anthropic"
    asked_at: list[float] = field(default_factory=list)
    charged_microusd: int = 0

    async def ask(self, request: ModelRequest) -> ModelReply:
        seconds = (self.clock.now - NOW).total_seconds()
        self.asked_at.append(seconds)
        kind = self.failure(seconds)
        if kind is not None:
            raise ModelError(kind, "said the provider", unanswered_cost_microusd=self.charged_microusd)
        return reply(answer("respond", text="tomorrow"), cost_microusd=1000)

    async def aclose(self) -> None:
        """Nothing is held."""


class Night:
    """The two stages, what they send each other, and what ends."""

    def __init__(self, failure: Callable[[float], Kind | None], charter: CompiledCharter = CHARTER) -> None:
        self.charter, self.clock = charter, Clock()
        self.provider = Provider(self.clock, failure)
        circuits = Circuits("decide", BREAKER, self.clock)
        models = ProviderModels(ProviderChain([self.provider], circuits))
        control = in_force(charter)
        self.budget = Bench(Budget(control, self.clock))
        self.decide = Bench(Decide(control, models, self.clock, circuits))
        self.timers: list[Timer] = []
        self.decisions: dict[str, Decision] = {}
        self.order: list[str] = []
        self._offset = 0

    async def run(self, cases: int, every_s: float, until_s: float) -> Counter[str]:
        """`cases` arrive, one `every_s` seconds; the number of cases by who decided them."""
        arrivals = [number * every_s for number in range(cases)]
        at, step_s = 0.0, min(every_s, 1.0)
        while at <= until_s and (arrivals or len(self.decisions) < cases):
            self.clock.now = NOW + timedelta(seconds=at)
            while arrivals and arrivals[0] <= at:
                await self._arrives(cases - len(arrivals))
                arrivals.pop(0)
            await self._spread(self.budget.tick())
            await self._spread(self.decide.tick())
            for timer in [each for each in self.timers if each.due_at <= self.clock.now]:
                self.timers.remove(timer)
                await self._take_budget(CODEC.decode(BudgetEntry, timer.value))
            at += step_s
        return Counter("a person" if made.provider == "none" else made.provider for made in self.decisions.values())

    async def _arrives(self, number: int) -> None:
        opened = event().model_copy(update={"id": f"e-{number}", "subject": f"t-{number % 7}"})
        await self._take_budget(reservation(case(self.charter, opened, reserved_microusd=0), self.clock.now))

    async def _take_budget(self, entry: BudgetEntry) -> None:
        self._offset += 1
        await self._spread(await self.budget.take(BUDGET, entry, self._offset))

    async def _spread(self, writes: StagedWrites) -> None:
        self.timers += said(writes, TIMERS, Timer)
        for decision in said(writes, ACT, Decision):
            assert decision.case.case_id not in self.decisions
            self.decisions[decision.case.case_id] = decision
            self.order.append(decision.case.event.id)
        for opened in said(writes, DECIDE, Case):
            self._offset += 1
            await self._spread(await self.decide.take(DECIDE, opened, self._offset))
        for entry in said(writes, BUDGET, BudgetEntry):
            await self._take_budget(entry)


def _away(until_s: float, kind: Kind = Kind.RATE_LIMITED) -> Callable[[float], Kind | None]:
    return lambda seconds: kind if 10 <= seconds < 10 + until_s else None


async def test_a_provider_that_is_busy_for_two_seconds_hands_no_case_over() -> None:
    night = Night(_away(2))
    assert await night.run(600, 0.1, until_s=600) == {"anthropic": 600}
    assert len(night.provider.asked_at) <= 600 + 2 * BREAKER.failures_to_open


@pytest.mark.parametrize("kind", [Kind.RATE_LIMITED, Kind.SERVER_ERROR])
async def test_an_outage_hands_no_case_over_and_is_spent_with_probes(kind: Kind) -> None:
    night = Night(_away(1_200, kind))
    assert await night.run(40, 30, until_s=3_000) == {"anthropic": 40}
    meanwhile = [at for at in night.provider.asked_at if 10 <= at < 1_210]
    assert len(meanwhile) <= BREAKER.failures_to_open + 1_200 / BREAKER.open_seconds
    apart = [
        later - earlier
        for earlier, later in zip(
            meanwhile[BREAKER.failures_to_open :], meanwhile[BREAKER.failures_to_open + 1 :], strict=False
        )
    ]
    assert min(apart) >= BREAKER.open_seconds, "one probe at a time"


async def test_after_the_longest_wait_a_person_gets_the_case_with_the_reason() -> None:
    charter = compiled(
        ("provider: [anthropic, rules]", "provider: [anthropic, rules]\n  when_unavailable: wait\n  wait_at_most: 10m")
    )
    night = Night(_away(3_000), charter)
    ends = await night.run(20, 60, until_s=2_500)
    assert ends == {"anthropic": 1, "a person": 19}
    reason = next(made.reasoning for made in night.decisions.values() if made.provider == "none")
    assert "too long" in reason or "no model was available for 6" in reason
    assert "rate_limited" in reason or "circuit_open" in reason


async def test_a_wrong_key_makes_nobody_wait() -> None:
    night = Night(_away(600, Kind.AUTHENTICATION))
    assert await night.run(30, 10, until_s=900) == {"anthropic": 1, "rules": 29}
    assert len(night.provider.asked_at) < 30, "an open circuit does not ask, and does not wait either"


async def test_an_hour_without_a_model_hands_none_of_a_thousand_cases_over() -> None:
    night = Night(_away(3_600))
    assert await night.run(1_200, 3, until_s=6_000) == {"anthropic": 1_200}
    meanwhile = [at for at in night.provider.asked_at if 10 <= at < 3_610]
    assert len(meanwhile) <= BREAKER.failures_to_open + 3_600 / BREAKER.open_seconds


async def test_the_cases_of_a_subject_are_decided_in_their_order() -> None:
    night = Night(_away(30))
    await night.run(300, 0.2, until_s=400)
    by_subject: dict[int, list[int]] = {}
    for number in (int(name.removeprefix("e-")) for name in night.order):
        by_subject.setdefault(number % 7, []).append(number)
    assert sum(map(len, by_subject.values())) == 300
    assert all(numbers == sorted(numbers) for numbers in by_subject.values())


async def test_a_model_that_costs_nothing_is_waited_for_as_well() -> None:
    free = (
        "prices: {claude-sonnet-5-5: {input_per_mtok_usd: 0, output_per_mtok_usd: 0,"
        " cache_read_per_mtok_usd: 0, cache_write_per_mtok_usd: 0}}"
    )
    charter = compiled(
        ("provider: [anthropic, rules]", f"provider: [anthropic, rules]\n  when_unavailable: wait\n  {free}")
    )
    night = Night(_away(600), charter)
    assert await night.run(60, 10, until_s=2_000) == {"anthropic": 60}
    meanwhile = [at for at in night.provider.asked_at if 10 <= at < 610]
    assert len(meanwhile) <= BREAKER.failures_to_open + 600 / BREAKER.open_seconds


async def test_steps_take_turns_as_the_probe_so_that_timeouts_use_up_the_money_of_none() -> None:
    """A question that times out may be charged, and the cap of a case pays for a few of them."""
    charter = compiled(
        ("provider: [anthropic, rules]", "provider: [anthropic, rules]\n  when_unavailable: wait"),
        ("per_case_usd: 0.50", "per_case_usd: 0.08"),
    )
    night = Night(_away(3_600, Kind.TIMEOUT), charter)
    night.provider.charged_microusd = 15_000
    assert await night.run(40, 30, until_s=6_000) == {"anthropic": 40}
    assert len([at for at in night.provider.asked_at if 10 <= at < 3_610]) > 10, "so many would use up three cases"


async def test_who_loses_the_partition_while_one_provider_is_asked_does_not_ask_the_next() -> None:
    """The first one may take a minute, and a lease lasts for seconds."""
    both = compiled(("provider: [anthropic, rules]", "provider: [anthropic, openai-compatible, rules]"))

    def fails_late(_seconds: float) -> Kind:
        bench.step.owner = False
        return Kind.TIMEOUT

    first, second = Provider(Clock(), fails_late), Provider(Clock(), fails_late, "openai-compatible")
    circuits = Circuits("decide", BREAKER, Clock())
    models = ProviderModels(ProviderChain([first, second], circuits))
    bench = Bench(Decide(in_force(both), models, Clock(), circuits))
    with pytest.raises(Crash):
        await bench.take(DECIDE, case(both))
    assert (len(first.asked_at), len(second.asked_at)) == (1, 0)
