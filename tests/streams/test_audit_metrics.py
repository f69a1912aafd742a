"""Which counters each audit record moves, and that nobody can fill the memory with invented names."""

from __future__ import annotations

import pytest

from nightdesk.schemas.audit_kinds import KINDS
from nightdesk.schemas.records import AuditRecord
from nightdesk.streams import audit_metrics
from nightdesk.streams.audit_metrics import AuditMetrics, Increment, increments
from nightdesk.streams.metrics import DECISIONS
from tests.streams.audit_samples import answered, audit_record, dead_lettered, decided


def moved(record: AuditRecord) -> dict[str, float]:
    return {f"{name_of(each)} {' '.join(each.labels)}": each.amount for each in increments(record)}


def name_of(moves: Increment) -> str:
    [described] = moves.counter.describe()
    return described.name


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (audit_record("received", "running"), {"nightdesk_events desk received": 1}),
        (audit_record("ignored", "ignored", agent=None), {"nightdesk_events  ignored": 1}),
        (audit_record("rejected", "failed", case_id=None), {"nightdesk_events desk rejected": 1}),
        (
            audit_record("refused", "refused"),
            {"nightdesk_events desk refused": 1, "nightdesk_cases_ended desk refused": 1},
        ),
        (
            decided(),
            {
                "nightdesk_decisions desk refund execute": 1,
                "nightdesk_provider_fallbacks desk anthropic overloaded": 1,
                "nightdesk_model_cost_usd desk openai small": 0.0025,
                "nightdesk_model_tokens openai small input": 30,
                "nightdesk_model_tokens openai small output": 4,
            },
        ),
        (
            audit_record("decided", "refused", disposition="refused"),
            {"nightdesk_decisions desk refund refused": 1, "nightdesk_cases_ended desk refused": 1},
        ),
        (
            audit_record("acted", "completed"),
            {"nightdesk_actions desk refund completed": 1, "nightdesk_cases_ended desk completed": 1},
        ),
        (audit_record("acted", "running"), {"nightdesk_actions desk refund running": 1}),
        # Of a dead letter: its replay ends the case.
        (audit_record("acted", "failed"), {"nightdesk_actions desk refund failed": 1}),
        (
            audit_record("decided", "failed", disposition="refused"),
            {"nightdesk_decisions desk refund refused": 1},
        ),
        (answered(), {"nightdesk_approvals desk approve": 1}),
        (answered(counts=False), {}),
        (dead_lettered(), {"nightdesk_case_dead_letters desk act": 1}),
        (dead_lettered(stage="decide", error="NoEscalation"), {"nightdesk_case_dead_letters desk decide": 1}),
        # Its action failed, which is counted there.
        (dead_lettered(error="ActionFailed"), {}),
        (dead_lettered().model_copy(update={"case_id": None}), {}),
        (audit_record("queued", "waiting"), {}),
    ],
    ids=lambda value: f"{value.kind} {value.status}" if isinstance(value, AuditRecord) else "",
)
def test_what_a_record_moves(record: AuditRecord, expected: dict[str, float]) -> None:
    assert moved(record) == expected


def test_a_doubtful_decision_that_may_be_executed_is_counted_and_no_other() -> None:
    executed = "nightdesk_low_confidence_executed desk refund"
    assert executed in moved(decided(low_confidence=True))
    assert executed not in moved(decided(low_confidence=False))
    held = decided(low_confidence=True).model_copy(update={"disposition": "needs_approval"})
    assert executed not in moved(held)


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_of_any_kind_with_any_detail_can_be_counted(kind: str) -> None:
    """Whoever may write to the topic chooses the detail; an error would end the process."""
    for detail in ("null", "{}", "no json"):
        AuditMetrics().count([audit_record(kind, "running", detail)])


def test_invented_names_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_metrics, "CHILDREN_AT_MOST", 3)
    counted = AuditMetrics()
    for number in range(20):
        counted.count([audit_record("decided", "running", agent=f"invented-{number}")])
    [collected] = DECISIONS.collect()
    names = {sample.labels["agent"] for sample in collected.samples}
    assert "other" in names
    assert len([name for name in names if name.startswith("invented-")]) == 3
