"""`nightdesk sql`: what it prints is a contract, and it changes nothing."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.client import Client

from tests.nightdesk.command_line import CommandLine
from tests.sinks.records import land, record


@pytest.fixture
def one_record(client: Client) -> None:
    land(client, record("received", 0, reason='a, "b"', input_tokens=2**53 + 1))


@pytest.mark.usefixtures("one_record")
def test_json_is_a_list_of_objects(nightdesk: CommandLine) -> None:
    query = "SELECT subject, time, case_id, input_tokens FROM records"
    assert nightdesk("sql", query, "--output", "json").json() == [
        {"subject": "ticket-1", "time": "2026-11-20T08:00:00.000000Z", "case_id": None, "input_tokens": 2**53 + 1}
    ]


@pytest.mark.usefixtures("one_record")
def test_csv_and_tsv_name_their_columns(nightdesk: CommandLine) -> None:
    query = "SELECT subject, reason FROM records;"
    assert nightdesk("sql", query, "-o", "csv").out == '"subject","reason"\n"ticket-1","a, ""b"""\n'
    assert nightdesk("sql", query, "-o", "tsv").out == 'subject\treason\nticket-1\ta, "b"\n'


@pytest.mark.usefixtures("one_record")
def test_text_is_a_table_and_a_count(nightdesk: CommandLine) -> None:
    lines = [
        line.split() for line in nightdesk("sql", "-", stdin=b"SELECT subject, kind FROM records").out.splitlines()
    ]
    assert lines == [["subject", "kind"], ["ticket-1", "received"], ["1", "rows"]]


def test_no_rows(nightdesk: CommandLine) -> None:
    assert nightdesk("sql", "SELECT * FROM cases", "-o", "json").json() == []
    assert nightdesk("sql", "SELECT * FROM cases").out == "0 rows\n"


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO audit_records (record_id) VALUES ('x')",
        "DROP TABLE audit_records",
        "ALTER TABLE audit_records DELETE WHERE 1",
        "TRUNCATE TABLE audit_records",
        "CREATE TABLE t (a UInt8) ENGINE = Memory",
        "SELECT 1 SETTINGS readonly = 0",
    ],
)
@pytest.mark.usefixtures("one_record")
def test_nothing_can_be_changed(nightdesk: CommandLine, client: Client, query: str) -> None:
    result = nightdesk("sql", query)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error: ClickHouse: ")
    assert client.query("SELECT count() FROM records").result_rows == [(1,)]


def test_a_mistake_is_one_line(nightdesk: CommandLine) -> None:
    result = nightdesk("sql", "SELECT nothing FROM cases")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "nothing" in result.err


def test_an_empty_query_is_wrong_usage(nightdesk: CommandLine) -> None:
    assert nightdesk("sql", " ; ").code == 2


def test_nobody_answers(nightdesk: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTDESK_CLICKHOUSE__URL", "http://user:secret@127.0.0.1:1/default")
    result = nightdesk("sql", "SELECT 1")
    assert result.code == 4
    assert "NIGHTDESK_CLICKHOUSE__URL" in result.err
    assert "secret" not in result.err


def test_before_the_migration_it_says_what_to_run(nightdesk: CommandLine, client: Client) -> None:
    client.command("DROP VIEW cases")
    assert "nightdesk migrate" in nightdesk("sql", "SELECT * FROM cases").err
