"""Counts audit records when they are durable: one place for all stages.

After a crash, or when a partition moves, records that were not finished are handled again, and their audit records may
be counted again. ClickHouse has each of them once and is exact.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prometheus_client import Counter

from nightdesk.processors.playbook import failure
from nightdesk.schemas.approval_details import ApprovalReplyDetail, ApprovalRequestDetail
from nightdesk.schemas.audit import DecisionDetail
from nightdesk.schemas.audit_kinds import detail_of
from nightdesk.schemas.records import AuditRecord, DeadLetter
from nightdesk.streams import metrics

# Statuses of a case that has ended. One that failed is a dead letter, whose replay goes on with the case.
ENDED = frozenset({"completed", "escalated", "refused", "dry_run"})
# Dead letters of the act stage that have an `acted` record, which is counted.
ACTED = frozenset(
    {
        failure.ACTION_FAILED,
        failure.ESCALATION_FAILED,
        failure.UNDO_FAILED,
        failure.NOBODY_ANSWERED,
        failure.NO_ESCALATION,
    }
)
OFFERS = frozenset({"received", "ignored", "rejected", "refused"})
# Agents, actions and models come from charters, so there are few. Anyone with write access could invent names, so
# beyond this number of label combinations a metric counts under `other`.
CHILDREN_AT_MOST = 2000
OTHER = "other"


class Increment(NamedTuple):
    """One counter that an audit record increments. `labels` are in the counter's order."""

    counter: Counter
    labels: tuple[str, ...]
    amount: float = 1.0


def increments(record: AuditRecord) -> Iterator[Increment]:
    """The counters that a record increments."""
    agent = record.agent or ""
    if record.kind in OFFERS:
        yield Increment(metrics.EVENTS, (agent, record.kind))
    elif record.kind == "decided":
        yield from _of_decision(record, agent)
    elif record.kind == "acted":
        yield Increment(metrics.ACTIONS, (agent, record.action or "", record.status))
    elif record.kind == "approval":
        yield from _of_approval(record, agent)
    elif record.kind == "dead_letter" and record.case_id is not None:
        yield from _of_dead_letter(record, agent)
    if record.status in ENDED and record.kind in ("decided", "acted", "refused"):
        yield Increment(metrics.CASES_ENDED, (agent, record.status))


def _of_decision(record: AuditRecord, agent: str) -> Iterator[Increment]:
    action, disposition = record.action or "", record.disposition or ""
    yield Increment(metrics.DECISIONS, (agent, action, disposition))
    detail = detail_of(record)
    if not isinstance(detail, DecisionDetail):
        return
    if detail.low_confidence and disposition == "execute" and detail.kind != "escalate":
        yield Increment(metrics.LOW_CONFIDENCE_EXECUTED, (agent, action))
    for fallback in detail.fallbacks:
        yield Increment(metrics.FALLBACKS, (agent, fallback.provider, fallback.reason))
    model = (record.provider or "", record.model or "")
    if record.cost_microusd:
        yield Increment(metrics.MODEL_COST, (agent, *model), record.cost_microusd / 1e6)
    if record.model is not None:
        yield Increment(metrics.TOKENS, (*model, "input"), record.input_tokens)
        yield Increment(metrics.TOKENS, (*model, "output"), record.output_tokens)


def _of_approval(record: AuditRecord, agent: str) -> Iterator[Increment]:
    detail = detail_of(record)
    if isinstance(detail, ApprovalReplyDetail) and not detail.counts:
        return
    if isinstance(detail, ApprovalRequestDetail) and detail.changes:
        return  # the same decision, shown again
    yield Increment(metrics.APPROVALS, (agent, getattr(detail, "verdict", "unknown")))


def _of_dead_letter(record: AuditRecord, agent: str) -> Iterator[Increment]:
    letter = detail_of(record)
    if isinstance(letter, DeadLetter) and not (letter.stage == "act" and letter.error in ACTED):
        yield Increment(metrics.CASE_DEAD_LETTERS, (agent, letter.stage))


class AuditMetrics:
    """Increments the counters. It keeps their children, because finding one by its labels takes ten times as long."""

    def __init__(self) -> None:
        self._children: dict[tuple[Counter, tuple[str, ...]], Counter] = {}

    def count(self, records: Iterable[AuditRecord]) -> None:
        """Count durable audit records."""
        for record in records:
            for counter, labels, amount in increments(record):
                self._child(counter, labels).inc(amount)

    def _child(self, counter: Counter, labels: tuple[str, ...]) -> Counter:
        child = self._children.get((counter, labels))
        if child is None:
            if len(self._children) >= CHILDREN_AT_MOST:
                labels = (OTHER,) * len(labels)
            child = self._children[counter, labels] = counter.labels(*labels)
        return child
