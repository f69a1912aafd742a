"""`nightdesk sql`: its output is a contract, and it changes nothing."""

from __future__ import annotations

import os

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.local.stack import LocalStack
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
        "WITH 1 AS x INSERT INTO audit_records (record_id) SELECT 'x'",
        "SELECT 1; DROP TABLE audit_records",
        "SELECT 1 INTO OUTFILE '/tmp/nightdesk-written'",
        "INSERT INTO FUNCTION file('/tmp/nightdesk-written', 'CSV', 'a Int8') VALUES (1)",
        "INSERT INTO FUNCTION url('http://127.0.0.1:1/', 'CSV', 'a Int8') SELECT 1",
        "SELECT * FROM file('/etc/passwd', LineAsString)",
        "SELECT file('/etc/passwd')",
        "SELECT * APPLY(file) FROM (SELECT '/etc/passwd')",
        "SELECT * FROM `/etc/passwd`",
    ],
)
@pytest.mark.usefixtures("one_record")
def test_nothing_can_be_changed(nightdesk: CommandLine, client: Client, query: str) -> None:
    result = nightdesk("sql", query)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error: ClickHouse: ")
    assert client.query("SELECT count() FROM records").result_rows == [(1,)]


@pytest.mark.usefixtures("one_record")
def test_no_function_sends_the_audit_to_a_model(nightdesk: CommandLine, client: Client) -> None:
    """Each new version of ClickHouse may bring further ones."""
    functions = [
        name for (name,) in client.query("SELECT name FROM system.functions WHERE categories = 'AI'").result_rows
    ]
    assert "aiGenerate" in functions
    for function in functions:
        assert "reads outside" in nightdesk("sql", f"SELECT {function}(reason) FROM records").err


def test_a_writers_login_is_held_to_reads_as_well(
    nightdesk: CommandLine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no reader is configured, as on somebody else's server."""
    for part in ("USERNAME", "PASSWORD"):
        monkeypatch.setenv(f"NIGHTDESK_CLICKHOUSE__READER_{part}", os.environ[f"NIGHTDESK_CLICKHOUSE__MIGRATE_{part}"])
    client.command("CREATE TABLE mine (a UInt8) ENGINE = MergeTree ORDER BY a")
    assert nightdesk("sql", "SELECT count() FROM mine").code == 0
    for query in ("DROP TABLE mine", "SELECT 1 INTO OUTFILE '/tmp/x'", "SELECT file('/etc/hostname')", "TRUNCATE mine"):
        result = nightdesk("sql", query)
        assert (result.code, result.out) == (1, ""), query
    assert client.query("SELECT count() FROM mine").result_rows == [(0,)]


def test_a_mistake_is_one_line(nightdesk: CommandLine) -> None:
    result = nightdesk("sql", "SELECT nothing FROM cases")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "nothing" in result.err


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count() FROM numbers(1000000000000) SETTINGS max_execution_time = 0.2",
        "SELECT sum(length(randomString(16000000))) FROM numbers(70000)",
        "SELECT repeat('x', 2000000000)",
    ],
)
def test_a_question_that_asks_for_too_much_says_so(nightdesk: CommandLine, query: str) -> None:
    result = nightdesk("sql", query)
    assert result.code == 1
    assert result.err.endswith(". Ask for less: a shorter time, fewer columns, a LIMIT\n")


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


def test_a_viewer_asks_the_views(nightdesk: CommandLine, stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    name, password = stack.settings.clickhouse.login("viewer")
    monkeypatch.setenv("NIGHTDESK_CLICKHOUSE__READER_USERNAME", name)
    monkeypatch.setenv("NIGHTDESK_CLICKHOUSE__READER_PASSWORD", password)
    assert nightdesk("sql", "SELECT status, count() FROM cases GROUP BY status").code == 0
    assert "no right to read reasoning" in nightdesk("sql", "SELECT reasoning FROM decisions").err
