"""Are an agent's last cases as its charter expects them? If not it is paused, and told why. Pure.

The budget stage keeps a `Watch` for each agent whose charter has `anomalies`, made of the facts of its ledger: each
step is seen when it is decided (what it cost, how sure it was) and when its playbook has ended (whether it failed). A
fact replaces the earlier one of its step, so a line that is read twice is seen once.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from typing import Literal, NamedTuple

from processors.charter.allowances import Anomalies
from processors.charter.compiled import CompiledCharter
from processors.ledger import Fact
from schemas.records import Decision

MICROUSD_PER_USD = 1_000_000


class Sight(NamedTuple):
    """Something that was seen of a step. `bad` is a doubtful decision, or a playbook that failed."""

    at: float
    kind: Literal["decided", "ended"]
    case_id: str
    bad: bool
    cost_microusd: int = 0


def is_doubtful(decision: Decision, compiled: CompiledCharter) -> bool:
    """Whether its confidence is under what its action needs; handing over because nobody could decide has none."""
    action = compiled.actions.get(decision.action)
    return action is None or decision.confidence < action.threshold


class Watch:
    """What was seen lately, and its sums."""

    def __init__(self, policy: Anomalies) -> None:
        self.policy = policy
        self._seen: dict[tuple[str, int, str], Sight] = {}
        self._oldest: list[tuple[float, tuple[str, int, str]]] = []
        self._sums: Counter[str] = Counter()
        self._cases: Counter[str] = Counter()

    def see(self, fact: Fact) -> None:
        """Take in what is known of a step now."""
        for sight in _sights(fact):
            key = (fact.case_id, fact.step, sight.kind)
            self._forget(key)
            self._seen[key] = sight
            self._count(sight, +1)
            heapq.heappush(self._oldest, (sight.at, key))

    def forget_before(self, at: float) -> None:
        """Drop what was seen earlier."""
        while self._oldest and self._oldest[0][0] < at:
            seen_at, key = heapq.heappop(self._oldest)
            if key in self._seen and self._seen[key].at == seen_at:
                self._forget(key)

    def anomaly(self) -> str:
        """What is out of the charter's bounds, with the numbers; empty where nothing is."""
        return "; ".join(self._out_of_bounds())

    def _out_of_bounds(self) -> Iterator[str]:
        policy, sums, cases = self.policy, self._sums, len(self._cases)
        if policy.cost_per_case_usd is not None and cases >= policy.at_least:
            per_case_usd = sums["cost_microusd"] / cases / MICROUSD_PER_USD
            if per_case_usd > policy.cost_per_case_usd:
                yield f"{cases} cases cost {per_case_usd:.6f} dollars each, at most {policy.cost_per_case_usd} expected"
        rates = (
            ("decided", policy.low_confidence_rate, "decisions were under the confidence that they need"),
            ("ended", policy.error_rate, "playbooks failed"),
        )
        for kind, at_most, what in rates:
            bad, all_of_them = sums[f"bad {kind}"], sums[kind]
            if at_most is not None and all_of_them >= policy.at_least and bad > at_most * all_of_them:
                yield f"{bad} of {all_of_them} {what}, at most {at_most:.0%} expected"

    def _forget(self, key: tuple[str, int, str]) -> None:
        sight = self._seen.pop(key, None)
        if sight is not None:
            self._count(sight, -1)

    def _count(self, sight: Sight, sign: int) -> None:
        self._sums[sight.kind] += sign
        self._sums[f"bad {sight.kind}"] += sign * sight.bad
        self._sums["cost_microusd"] += sign * sight.cost_microusd
        if sight.kind == "decided":
            self._cases[sight.case_id] += sign
            if not self._cases[sight.case_id]:
                del self._cases[sight.case_id]


def _sights(fact: Fact) -> Iterator[Sight]:
    if fact.state == "settled" and fact.settled_at:
        yield Sight(fact.settled_at, "decided", fact.case_id, fact.low_confidence, fact.spent_microusd)
    if fact.ended_at:
        yield Sight(fact.ended_at, "ended", fact.case_id, fact.failed)
