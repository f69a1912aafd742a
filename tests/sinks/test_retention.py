"""How long rows and texts are kept: the settings become limits of the tables, and ClickHouse deletes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from clickhouse_connect.driver.client import Client
from pydantic import ValidationError

from nightdesk.operations.doctor import check_clickhouse
from nightdesk.operations.migrations import migrate_database
from nightdesk.sinks.clickhouse.retention import NAMES, Retention, changes
from nightdesk.sinks.settings import ClickHouseSettings
from tests.sinks.records import decided, land, of_case, record

MONTH = timedelta(days=31)
SIZES = "SELECT (SELECT count() FROM records), (SELECT count() FROM cases), (SELECT count() FROM decisions)"


def test_a_setting_becomes_a_limit_once(database: ClickHouseSettings, client: Client) -> None:
    assert sorted(migrate_database(database)) == sorted(f"retention of {table}" for table in NAMES)
    assert migrate_database(database) == []
    changed = database.model_copy(update={"table_retention_months": {"ids": 30}, "text_retention_months": 3})
    assert "retention of ids" in check_clickhouse(changed).detail
    assert sorted(migrate_database(changed)) == [
        f"retention of {table}"
        for table in ("audit_records", "decision_facts", "ids", "model_call_facts", "records_by_kind", "step_facts")
    ]
    assert changes(client, changed.retention) == {}
    assert check_clickhouse(changed).detail.endswith("rows are kept for 25 months, ids for 30, texts for 3")
    assert len(migrate_database(database)) == 6  # and back
    prompts = database.model_copy(update={"prompt_retention_months": 3})
    assert migrate_database(prompts) == ["retention of audit_records", "retention of model_call_facts"]
    assert changes(client, prompts.retention) == {}
    assert check_clickhouse(prompts).detail.endswith("prompts for 3")


def test_what_is_older_goes_and_roll_ups_stay(database: ClickHouseSettings, client: Client) -> None:
    now = datetime.now(UTC)
    for number, age in enumerate((0 * MONTH, 4 * MONTH, 30 * MONTH)):
        case = of_case(f"evt-{number}")
        opened = {"time": now - age, "case_at": now - age}
        about = [record("received", 0, **case), decided(1, event_id=f"evt-{number}")]
        land(client, *(one.model_copy(update=opened) for one in about), first=2 * number)
    client.command("INSERT INTO hourly_counts (hour, agent, cases) SELECT now() - INTERVAL 30 MONTH, 'a', 7")
    kept = database.model_copy(update={"text_retention_months": 3})
    migrate_database(kept)
    for table in NAMES:
        client.command(f"OPTIMIZE TABLE {table} FINAL")
    assert client.query(SIZES).result_rows == [(4, 2, 2)]
    texts = client.query("SELECT reasoning != '' FROM decisions ORDER BY decided_at").result_rows
    assert texts == [(False,), (True,)]
    assert client.query("SELECT sum(cases) FROM hourly_counts").result_rows == [(7,)]


def test_a_limit_is_for_a_table_that_has_one() -> None:
    assert Retention(25, tables={"ids": 30}).of("ids") == 30
    with pytest.raises(ValidationError, match="name one of"):
        ClickHouseSettings(table_retention_months={"hourly_counts": 3})
    for months in (1, 601):
        with pytest.raises(ValidationError):
            ClickHouseSettings(retention_months=months)
