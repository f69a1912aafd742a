"""Computes from the audit when an agent would have been stopped by the bounds of `anomalies.py`. Pure.

`nightdesk anomalies try` reads the audit and calls this. The running detector is fed by ledger entries, which have the
same facts of the same steps.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from nightdesk.processors.anomalies import Anomaly, AnomalyDetector
from nightdesk.processors.charter.allowances import Anomalies
from nightdesk.processors.ledger import Fact

# After a stop the trial starts a new window, as if somebody had resumed the agent at once.
NEXT_MOMENT_S = 1e-6


class Audited(NamedTuple):
    """A decision, the end of a playbook or a dead letter of a case, as the audit has it. `at` is in epoch seconds."""

    at: float
    kind: Literal["decided", "acted", "dead_letter"]
    case_id: str
    step: int
    cost_microusd: int = 0
    latency_ms: int = 0
    low_confidence: bool = False
    refused: bool = False
    undecided: bool = False
    failed: bool = False


class Stop(NamedTuple):
    """A time at which bounds were exceeded. `enforced`: the agent would have been stopped."""

    at: float
    anomalies: tuple[Anomaly, ...]
    enforced: bool


def stops(policy: Anomalies, facts: Iterable[Fact]) -> Iterator[Stop]:
    """The times at which bounds were exceeded; `facts` are in order of time. After each stop a new window starts.

    A fact may come again unchanged, long after its step ended. The window does not move back for it.
    """
    watch, now, resumed_at = AnomalyDetector(policy), 0.0, 0.0
    for fact in facts:
        now = max(now, fact.settled_at, fact.ended_at)
        watch.observe(fact)
        watch.forget_before(max(now - policy.window, resumed_at))
        found = watch.anomalies()
        if found:
            yield Stop(now, found, any(policy.enforces(anomaly.bound) for anomaly in found))
            resumed_at = now + NEXT_MOMENT_S


def facts_of(audit: Iterable[Audited], agent: str) -> Iterator[Fact]:
    """What the agent's ledger would have known after each audit record, in their order."""
    known: dict[tuple[str, int], Fact] = {}
    for line in audit:
        step = (line.case_id, line.step)
        before = known.get(step) or Fact(
            agent=agent, case_id=line.case_id, step=line.step, state="open", day="", at=line.at
        )
        known[step] = before.model_copy(update=_changes(line, before))
        yield known[step]


def _changes(line: Audited, before: Fact) -> dict[str, object]:
    if line.kind != "decided":  # the first end of a step counts
        return {} if before.ended_at else {"ended_at": line.at, "failed": line.failed}
    return {
        "state": "settled",
        "settled_at": line.at,
        "spent_microusd": line.cost_microusd,
        "low_confidence": line.low_confidence,
        "refused": line.refused,
        "undecided": line.undecided,
        "latency_ms": line.latency_ms,
    }
