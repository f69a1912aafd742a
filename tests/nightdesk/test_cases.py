"""`nightdesk cases list`, and the counts of `status`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.schemas.records import AuditRecord
from nightdesk.settings import Settings
from tests.nightdesk.command_line import CommandLine
from tests.sinks.records import land
from tests.sinks.test_cases import EVENTS


def _lately() -> list[AuditRecord]:
    """Cases of an hour ago, and one of long ago."""
    now = datetime.now(UTC) - timedelta(hours=1)
    old = EVENTS[1].model_copy(update={"record_id": "old", "case_id": "old", "time": now - timedelta(days=2)})
    return [one.model_copy(update={"time": now + timedelta(seconds=n)}) for n, one in enumerate(EVENTS)] + [old]


def test_they_are_listed_for_people_and_for_scripts(nightdesk: CommandLine, client: Client) -> None:
    assert "no such cases" in nightdesk("cases", "list").out
    land(client, *_lately())
    found = nightdesk("cases", "list", "--status", "failed,rejected", "-o", "json").json()
    assert [one["status"] for one in found] == ["rejected", "rejected", "failed"]
    assert set(found[0]) == {"id", "status", "agent", "subject", "event_id", "event_type", "reason", "time"}
    for one in found:
        assert nightdesk("why", one["id"]).code == 0
    text = nightdesk("cases", "list", "--status", "failed").out
    assert found[2]["id"] in text
    assert "no such template" in text
    assert len(nightdesk("cases", "list", "--since", "3d", "--status", "failed", "-o", "json").json()) == 2
    assert nightdesk("cases", "list", "--since", "1h", "--limit", "1", "-o", "json").code == 0


@pytest.mark.parametrize("arguments", [("--status", "broken"), ("--since", "yesterday"), ("--limit", "0")])
def test_what_cannot_be_asked_is_said(nightdesk: CommandLine, arguments: tuple[str, str]) -> None:
    assert nightdesk("cases", "list", *arguments).code == 2


def test_status_counts_what_failed_and_what_was_rejected(
    nightdesk: CommandLine, topics: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert topics.kafka.topic_prefix
    land(client, *_lately())
    assert nightdesk("status", "-o", "json").json()["last_day"] == {"failed": 1, "rejected": 2}
    assert "in the last day 1 failed, 2 rejected: see `nightdesk cases list" in nightdesk("status").out
    monkeypatch.setenv("NIGHTDESK_CLICKHOUSE__URL", "http://127.0.0.1:1/default")
    away = nightdesk("status", "-o", "json")
    assert (away.code, away.json()["last_day"]) == (0, None)
    assert "ClickHouse does not answer" in nightdesk("status").out
