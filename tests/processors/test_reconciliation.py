"""Three ledgers are compared case by case; a difference of one micro-dollar is a drift."""

from datetime import UTC, datetime, timedelta

import pytest

from nightdesk.processors.reconciliation import Cost, Drift, costs_of_log, drifts
from nightdesk.schemas.records import BudgetEntry

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def cost(microusd: int, days_ago: float = 0, unknown: int = 0) -> dict[str, Cost]:
    return {"c": Cost("a", microusd, 10, NOW - timedelta(days=days_ago), unknown)}


def line(step: int, kind: str, amount: int) -> BudgetEntry:
    known = {"entry_id": f"{kind}-{step}", "agent": "a", "case_id": "c", "time": NOW}
    return BudgetEntry.model_validate({**known, "kind": kind, "step": step, "amount_microusd": amount})


@pytest.mark.parametrize(
    ("log", "table", "audit", "found"),
    [
        (cost(5), cost(5), cost(5), []),
        ({}, cost(0), {}, []),
        (cost(5, days_ago=2), {}, cost(5), []),
        (cost(5), {}, cost(5), [Drift("a", "c", 5, 0, 5)]),
        (cost(5), cost(4), cost(5), [Drift("a", "c", 5, 4, 5)]),
        (cost(5), cost(5), cost(6), [Drift("a", "c", 5, 5, 6)]),
        ({}, {}, cost(6, days_ago=2), [Drift("a", "c", 0, None, 6, 0, None)]),
        (cost(5), cost(5), {}, [Drift("a", "c", 5, 5, 0)]),
        (cost(5, unknown=7), cost(5, unknown=7), cost(5), []),
        (cost(5, unknown=7), cost(5), cost(5), [Drift("a", "c", 5, 5, 5, 7, 0)]),
    ],
)
def test_what_differs_is_named(
    log: dict[str, Cost], table: dict[str, Cost], audit: dict[str, Cost], found: list[Drift]
) -> None:
    assert list(drifts(log, table, audit, NOW)) == found


def test_of_each_step_the_first_settlement_counts_and_else_what_expired() -> None:
    first = [line(0, "reserve", 0), line(0, "settle", 5), line(0, "settle", 9), line(0, "expire", 70)]
    late = [line(1, "expire", 70), line(1, "settle", 3)]
    never = [line(2, "expire", 70), line(2, "expire", 70)]
    free = [line(3, "settle", 0), line(3, "settle", 4)]
    assert costs_of_log([*first, *late, *never, *free]) == {"c": Cost("a", 8, 0, NOW, 70)}
