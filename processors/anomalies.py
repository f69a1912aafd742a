"""Compares an agent's recent cases with the `anomalies` bounds of its charter. Pure.

The budget stage keeps an `AnomalyDetector` for each agent whose charter has `anomalies`, fed from its ledger: each step
is observed when it is decided (its cost, its confidence, its latency) and when it ended (whether it failed). A fact
replaces the earlier fact of its step, so an entry that is read twice is observed once. A case fails once, however many
of its steps ended. A passed bound stops the agent, or is only reported if the bound observes. Shares and averages pass
a bound when their lower confidence bound does.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from nightdesk.processors.charter.allowances import Anomalies, AnomalyBound
from nightdesk.processors.intervals import lowest_mean, lowest_share
from nightdesk.processors.ledger import Fact

MICROUSD_PER_USD = 1_000_000

ObservationKind = Literal["decided", "ended"]
Mark = Literal["low_confidence", "refused", "undecided", "slow", "failed"]


class Observation(NamedTuple):
    """One measurement of a step, and what was wrong with it."""

    at: float
    kind: ObservationKind
    case_id: str
    marks: tuple[Mark, ...]
    cost_microusd: int = 0


class Anomaly(NamedTuple):
    """A bound of the charter that was exceeded, and the numbers as text."""

    bound: AnomalyBound
    anomalies_text: str


@dataclass(frozen=True, slots=True)
class _Rate:
    """A bound on a share: of the observations of `kind`, those with `mark`."""

    bound: AnomalyBound
    kind: ObservationKind
    mark: Mark
    text: str


RATES = (
    _Rate(
        "low_confidence_rate",
        "decided",
        "low_confidence",
        "decisions were below the confidence that their action needs",
    ),
    _Rate("refusal_rate", "decided", "refused", "decisions were refused"),
    _Rate("undecided_rate", "decided", "undecided", "cases were decided by no model and no rule"),
    _Rate("slow_rate", "decided", "slow", "decisions took longer than slow_after"),
    _Rate("error_rate", "ended", "failed", "cases had a failed step, an unknown result or a dead letter"),
)


class AnomalyDetector:
    """The observations of the last window, and their sums."""

    def __init__(self, policy: Anomalies) -> None:
        self.policy = policy
        self._seen: dict[tuple[str, int, str], Observation] = {}
        self._oldest: list[tuple[float, tuple[str, int, str]]] = []
        self._counts: Counter[tuple[ObservationKind, Mark | None]] = Counter()
        self._cost_microusd = 0
        # The cost of each case and how many of its steps were observed, and the sum of the squares of the costs.
        self._cases: dict[str, tuple[int, int]] = {}
        self._squares = 0
        # How many steps of each case ended, and how many of them badly.
        self._ends: dict[str, tuple[int, int]] = {}

    def observe(self, fact: Fact) -> None:
        """Add or replace the observations of a step with what is known of it now."""
        for observation in _observations(fact, self.policy):
            key = (fact.case_id, fact.step, observation.kind)
            self._forget(key)
            self._seen[key] = observation
            self._count(observation, +1)
            heapq.heappush(self._oldest, (observation.at, key))

    def forget_before(self, at: float) -> None:
        """Drop the observations before a time."""
        while self._oldest and self._oldest[0][0] < at:
            seen_at, key = heapq.heappop(self._oldest)
            if key in self._seen and self._seen[key].at == seen_at:
                self._forget(key)

    def anomaly(self) -> str:
        """The exceeded bounds in one text, with the numbers; empty if none is."""
        return anomalies_text(self.anomalies())

    def anomalies(self) -> tuple[Anomaly, ...]:
        """Every bound that is exceeded now."""
        return tuple(self._out_of_bounds())

    def _out_of_bounds(self) -> Iterator[Anomaly]:
        policy = self.policy
        if policy.spend_usd is not None and self._cost_microusd > policy.spend_usd * MICROUSD_PER_USD:
            spent_usd = self._cost_microusd / MICROUSD_PER_USD
            text = f"{spent_usd:.6f} dollars were spent in {policy.window} s, at most {policy.spend_usd} expected"
            yield Anomaly("spend_usd", text)
        if policy.cost_per_case_usd is not None and self._costs_too_much(policy.cost_per_case_usd * MICROUSD_PER_USD):
            per_case_usd = self._cost_microusd / len(self._cases) / MICROUSD_PER_USD
            at_most = f"at most {policy.cost_per_case_usd} expected"
            yield Anomaly(
                "cost_per_case_usd", f"{len(self._cases)} cases cost {per_case_usd:.6f} dollars each, {at_most}"
            )
        for rate in RATES:
            at_most, bad, all_of_them = (
                getattr(policy, rate.bound),
                self._counts[rate.kind, rate.mark],
                self._counts[rate.kind, None],
            )
            if at_most is not None and all_of_them >= policy.at_least and lowest_share(bad, all_of_them) > at_most:
                yield Anomaly(rate.bound, f"{bad} of {all_of_them} {rate.text}, at most {at_most:.0%} expected")

    def _costs_too_much(self, at_most_microusd: Decimal) -> bool:
        cases = len(self._cases)
        return (
            cases >= self.policy.at_least and lowest_mean(self._cost_microusd, self._squares, cases) > at_most_microusd
        )

    def _forget(self, key: tuple[str, int, str]) -> None:
        observation = self._seen.pop(key, None)
        if observation is not None:
            self._count(observation, -1)

    def _count(self, observation: Observation, sign: int) -> None:
        if observation.kind == "ended":
            self._count_end(observation, sign)
            return
        self._counts[observation.kind, None] += sign
        for mark in observation.marks:
            self._counts[observation.kind, mark] += sign
        self._cost_microusd += sign * observation.cost_microusd
        cost, steps = self._cases.pop(observation.case_id, (0, 0))
        self._squares -= cost * cost
        cost, steps = cost + sign * observation.cost_microusd, steps + sign
        if steps:
            self._squares += cost * cost
            self._cases[observation.case_id] = (cost, steps)

    def _count_end(self, observation: Observation, sign: int) -> None:
        """Count the case, and not its steps: the escalation that follows a failure would halve the rate."""
        ended, failed = self._ends.pop(observation.case_id, (0, 0))
        self._count_case(ended, failed, -1)
        ended, failed = ended + sign, failed + sign * len(observation.marks)
        self._count_case(ended, failed, +1)
        if ended:
            self._ends[observation.case_id] = (ended, failed)

    def _count_case(self, ended: int, failed: int, sign: int) -> None:
        self._counts["ended", None] += sign * (ended > 0)
        self._counts["ended", "failed"] += sign * (failed > 0)


def anomalies_text(anomalies: Iterable[Anomaly]) -> str:
    """The anomalies in one line."""
    return "; ".join(anomaly.anomalies_text for anomaly in anomalies)


def _observations(fact: Fact, policy: Anomalies) -> Iterator[Observation]:
    if fact.state == "settled" and fact.settled_at:
        found: dict[Mark, bool] = {
            "low_confidence": fact.low_confidence,
            "refused": fact.refused,
            "undecided": fact.undecided,
            "slow": fact.latency_ms > policy.slow_after * 1000,
        }
        marks = tuple(mark for mark, is_so in found.items() if is_so)
        yield Observation(fact.settled_at, "decided", fact.case_id, marks, fact.spent_microusd)
    if fact.ended_at:
        yield Observation(fact.ended_at, "ended", fact.case_id, ("failed",) if fact.failed else ())
