"""What completed cases saved: each counts once by the baseline of its last decision, and no other end counts."""

from __future__ import annotations

import random
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.schemas.records import AuditRecord
from tests.sinks.records import acted, decided, land

# Seconds and micro-dollars that the charter gives a case
BASELINE = (360, 3_500_000)


def measured(seconds: float, step: int = 0, baseline: tuple[int, int] = BASELINE, **fields: Any) -> AuditRecord:
    measures = {
        "unanswered_microusd": 200,
        "baseline_s": baseline[0],
        "baseline_microusd": baseline[1],
        "day_budget_microusd": 25_000_000,
    }
    return decided(seconds, step, cost_microusd=1_000, measures=measures, **fields)


def impact(client: Client, columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in client.query(f"SELECT {columns} FROM impact ORDER BY ALL").result_rows]


SAVED = "cases, completed, escalated, saved_s, saved_microusd"


@pytest.mark.parametrize(
    ("status", "row"),
    [
        ("completed", (1, 1, 0, 360, 3_500_000)),
        ("escalated", (1, 0, 1, 0, 0)),
        ("failed", (1, 0, 0, 0, 0)),
        ("dry_run", (1, 0, 0, 0, 0)),
        ("waiting", (1, 0, 0, 0, 0)),
    ],
)
def test_only_a_completed_case_saves(client: Client, status: str, row: tuple[int, ...]) -> None:
    land(client, measured(1), acted(2, status))
    assert impact(client, SAVED) == [row]


def test_of_several_decisions_the_last_one_says_what_the_case_saves(client: Client) -> None:
    land(client, measured(1), measured(3, step=1, baseline=(60, 500_000)), acted(4, "completed", step=1))
    assert impact(client, SAVED) == [(1, 1, 0, 60, 500_000)]


def test_money_is_that_of_all_cases_and_is_divided_by_the_completed_ones(client: Client) -> None:
    ends = ("completed", "completed", "escalated", "failed")
    for number, status in enumerate(ends):
        event = f"evt-{number}"
        land(client, measured(1, event_id=event), acted(2, status, event_id=event), first=2 * number)
    columns = "cost_microusd, cost_per_completed_microusd, unanswered_microusd, day_budget_microusd"
    assert impact(client, columns) == [(4_000, 2_000.0, 800, 25_000_000)]
    days = client.query("SELECT cost_microusd, unanswered_microusd, day_budget_microusd FROM costs_by_day").result_rows
    assert [tuple(day) for day in days] == [(4_000, 800, 25_000_000)]


def test_a_decision_without_a_baseline_saves_nothing(client: Client) -> None:
    """So did every record of a version that knew of none."""
    land(client, decided(1), acted(2, "completed"))
    assert impact(client, SAVED) == [(1, 1, 0, 0, 0)]


def test_records_that_come_again_in_any_order_change_no_sum(client: Client) -> None:
    found = [measured(number, event_id=f"evt-{number}") for number in range(20)]
    found += [acted(30 + number, "completed", event_id=f"evt-{number}") for number in range(20)]
    for seed in range(3):
        random.Random(seed).shuffle(found)
        land(client, *found, first=100 * seed)
    assert impact(client, SAVED) == [(20, 20, 0, 20 * 360, 20 * 3_500_000)]
