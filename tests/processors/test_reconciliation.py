"""Three books are compared case by case; one micro-dollar is a drift."""

from datetime import UTC, datetime, timedelta

import pytest

from processors.reconciliation import Cost, Drift, book_of_log, drifts
from schemas.records import BudgetEntry

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def cost(microusd: int, days_ago: float = 0) -> dict[str, Cost]:
    return {"c": Cost("a", microusd, 10, NOW - timedelta(days=days_ago))}


def line(entry_id: str, kind: str, amount: int) -> BudgetEntry:
    return BudgetEntry.model_validate(
        {"entry_id": entry_id, "kind": kind, "agent": "a", "case_id": "c", "amount_microusd": amount, "time": NOW}
    )


@pytest.mark.parametrize(
    ("log", "table", "audit", "found"),
    [
        (cost(5), cost(5), cost(5), []),
        ({}, cost(0), {}, []),
        (cost(5, days_ago=2), {}, cost(5), []),
        (cost(5), {}, cost(5), [Drift("a", "c", 5, 0, 5)]),
        (cost(5), cost(4), cost(5), [Drift("a", "c", 5, 4, 5)]),
        (cost(5), cost(5), cost(6), [Drift("a", "c", 5, 5, 6)]),
        ({}, {}, cost(6, days_ago=2), [Drift("a", "c", 0, None, 6)]),
        (cost(5), cost(5), {}, [Drift("a", "c", 5, 5, 0)]),
    ],
)
def test_what_differs_is_named(
    log: dict[str, Cost], table: dict[str, Cost], audit: dict[str, Cost], found: list[Drift]
) -> None:
    assert list(drifts(log, table, audit, NOW)) == found


def test_the_first_line_of_an_id_counts() -> None:
    lines = [line("r", "reserve", 0), line("1", "settle", 5), line("1", "settle", 9), line("2", "settle", 3)]
    assert book_of_log(lines)["c"].microusd == 8
