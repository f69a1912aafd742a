"""A fact that is not what the rows of the audit say is found and named, whatever table it is in."""

from __future__ import annotations

import random

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.sinks.audit.forgotten import ForgottenSubjects
from nightdesk.sinks.audit.table import AuditTable, InsertSlice
from nightdesk.sinks.clickhouse.retention import NAMES, Retention
from nightdesk.sinks.verification.absence import absence
from nightdesk.sinks.verification.facts import FACTS, compared_facts, queries
from tests.sinks.records import acted, dead_letter, decided, land, of_case, outcome, question, record
from tests.sinks.test_facts import case_of

ALL = 10**9


def found(client: Client, end: int = ALL) -> set[tuple[str, str]]:
    """Fault and table."""
    missing = absence(client, Retention(600), ForgottenSubjects(), ())
    return {(one.fault, one.table) for one in compared_facts(client, missing, 0, {0: end}, lambda _tables: None)}


@pytest.fixture
def filled(client: Client) -> Client:
    case = of_case()
    done = acted(3, "failed", 0, [outcome(0), outcome(1, "failed", error="no such ticket")])
    asked = record("asked", 0.5, question(), provider="anthropic", **case)
    approval = record("approval", 2, {"verdict": "asked"}, status="needs_approval", **case)
    land(client, record("received", 0, **case), asked, decided(1), approval, done, dead_letter(4, **case))
    return client


def test_nothing_is_found_where_nothing_was_changed(client: Client) -> None:
    dice = random.Random(7)
    records = [one for number in range(60) for one in case_of(number, dice)]
    land(client, *records)
    land(client, *records[:50], first=5000)
    AuditTable(lambda: client).feed([InsertSlice("test.audit", 0, records[20:40], range(20, 40))])
    assert found(client) == set()


@pytest.mark.parametrize(
    ("change", "table"),
    [
        ("decision_facts UPDATE cost_microusd = 5000000 WHERE true", "decision_facts"),
        ("decision_facts UPDATE reasoning = 'because' WHERE true", "decision_facts"),
        ("step_facts UPDATE status = 'done' WHERE number = 2", "step_facts"),
        ("model_call_facts UPDATE reply = 'No.' WHERE true", "model_call_facts"),
        ("records_by_kind UPDATE reason = 'none' WHERE kind = 'approval'", "records_by_kind"),
        ("case_lines UPDATE status = 'completed' WHERE kind = 'acted'", "case_lines"),
        ("case_states UPDATE costs = map(toInt64(0), toInt64(1)) WHERE true", "case_states"),
    ],
)
def test_a_fact_that_was_changed_is_named(filled: Client, change: str, table: str) -> None:
    filled.command(f"ALTER TABLE {change} SETTINGS mutations_sync = 1")
    assert found(filled) == {("changed", table)}


@pytest.mark.parametrize("table", [one.table for one in FACTS])
def test_a_fact_that_was_removed_is_named_unless_its_record_is_still_to_be_committed(
    filled: Client, table: str
) -> None:
    filled.command(f"ALTER TABLE {table} DELETE WHERE true SETTINGS mutations_sync = 1")
    assert found(filled) == {("removed", table)}
    assert found(filled, end=0) == set()


@pytest.mark.parametrize("table", [one.table for one in FACTS])
def test_facts_are_mended_from_the_rows(filled: Client, table: str) -> None:
    """As docs/how-to/verify.md says."""
    filled.command(f"ALTER TABLE {table} DELETE WHERE subject = 'ticket-1' SETTINGS mutations_sync = 1")
    filled.command("INSERT INTO audit_feed SELECT * FROM audit_records FINAL WHERE subject = 'ticket-1'")
    assert found(filled) == set()


def test_facts_that_no_row_says_are_named(filled: Client) -> None:
    """A row that is inserted beside the sink fills nothing but its own table."""
    filled.command("INSERT INTO decision_facts (hour, record_id, cost_microusd) VALUES (now(), 'forged', 7)")
    filled.command("INSERT INTO case_states (hour, case_id) VALUES (now(), 'forged')")
    assert found(filled) == {("added", "decision_facts"), ("added", "case_states")}


def test_each_table_of_facts_is_compared_or_is_an_index() -> None:
    """What is left out: places are compared with rows, ids lead to subjects, follow-ups are reminders of step facts."""
    assert {one.table for one in FACTS} == NAMES - {"audit_records", "audit_places", "ids", "follow_up_facts"}
    assert {f"{one.table}_of_records" for one in FACTS} <= queries().keys()
