"""The same tests for our ClickHouse server and for the same engine in process: a client must not see a difference."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from nightdesk.local.clickhouse import ACCOUNTS_VARIABLE, READ_TIMEOUT_S
from nightdesk.local.clickhouse_engine import DATABASE
from nightdesk.local.clickhouse_rights import accounts_to_text
from nightdesk.local.parts import answers_http
from nightdesk.local.ports import claim_port
from nightdesk.sinks.clickhouse.access import Account
from nightdesk.sinks.clickhouse.migrate import migrate

AS_WRITER = {"X-ClickHouse-User": "migrate", "X-ClickHouse-Key": "w#1/?"}
AS_READER = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": "r"}
AS_SINK = {"X-ClickHouse-User": "sink", "X-ClickHouse-Key": "s"}
AS_VIEWER = {"X-ClickHouse-User": "viewer", "X-ClickHouse-Key": "v"}
AS_REFUNDS = {"X-ClickHouse-User": "refunds_team", "X-ClickHouse-Key": "t"}
ACCOUNTS = [
    Account("migrate", "migrate", "w#1/?"),
    Account("sink", "sink", "s"),
    Account("reader", "reader", "r"),
    Account("viewer", "viewer", "v"),
    Account("viewer", "refunds_team", "t", agents=("refunds",)),
]


@contextlib.contextmanager
def running_server(path: Path) -> Iterator[str]:
    """The server as `nightdesk up` starts it; yields its URL."""
    port = claim_port(0, "")
    command = [sys.executable, "-m", "nightdesk.local.clickhouse", "--path", str(path), "--port", str(port)]
    with subprocess.Popen(command, env=os.environ | {ACCOUNTS_VARIABLE: accounts_to_text(ACCOUNTS)}) as process:
        try:
            is_ready = answers_http(f"http://127.0.0.1:{port}/ping")
            while not is_ready():
                assert process.poll() is None, "the server died"
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_server(tmp_path_factory.mktemp("clickhouse")) as found:
        yield found


@pytest.fixture(scope="module", params=["http", "http compressed", "in process"])
def client(request: pytest.FixtureRequest, url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    if request.param == "in process":
        found = clickhouse_connect.get_client(interface="chdb", path=str(tmp_path_factory.mktemp("chdb")))
    else:
        compress = request.param == "http compressed"
        found = clickhouse_connect.get_client(dsn=url, username="migrate", password="w#1/?", compress=compress)
    with found:
        yield found


@pytest.fixture
def table(client: Client) -> Iterator[str]:
    client.command(
        "CREATE TABLE t (id UInt64, name String, at DateTime64(6, 'UTC'), tags Array(String), cost Nullable(Int64)) "
        "ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100"
    )
    yield "t"
    client.command("DROP TABLE t")


AT = datetime(2026, 11, 22, 3, 4, 5, 678901, tzinfo=UTC)
ROWS = [[1, "naïve \0 'quoted' \t\n日本", AT, ["a", "b'"], None], [2, "", AT, [], -5]]


def test_rows_come_back_as_they_went_in(client: Client, table: str) -> None:
    client.insert(table, ROWS)
    result = client.query(f"SELECT * FROM {table} ORDER BY id", tz_mode="aware")
    assert [list(row) for row in result.result_rows] == ROWS


def test_data_with_empty_lines_in_it_arrives_whole(client: Client, table: str) -> None:
    """0x0a0a is an empty line to the engine, and 2570 is those two bytes."""
    rows = [[2570 + number, "a\n\nb", AT, ["\n\n"], 2570] for number in range(3)]
    client.insert(table, rows)
    client.insert(table, [[1, "after", AT, [], None]], settings={"insert_deduplication_token": "one"})
    assert client.query(f"SELECT id, name, cost FROM {table} ORDER BY id").result_rows == [
        (1, "after", None),
        (2570, "a\n\nb", 2570),
        (2571, "a\n\nb", 2570),
        (2572, "a\n\nb", 2570),
    ]


def test_a_token_makes_a_retried_insert_count_once(client: Client, table: str) -> None:
    for token in ("one", "one", "two"):
        client.insert(table, ROWS, settings={"insert_deduplication_token": token})
    assert client.command(f"SELECT count() FROM {table}") == 2 * len(ROWS)


@pytest.mark.parametrize("value", ["plain", "it's", "tab\tnewline\nback\\slash", "'; DROP TABLE t; --", "日本", ""])
def test_parameters_arrive_unchanged(client: Client, value: str) -> None:
    result = client.query(
        "SELECT {value:String} AS value, {ids:Array(UInt8)}", parameters={"value": value, "ids": [1, 2]}
    )
    assert result.result_rows == [(value, [1, 2])]


def test_a_setting_holds_for_its_statement_only(client: Client) -> None:
    query = "SELECT getSetting('max_block_size')"
    before = client.command(query)
    assert client.command(query, settings={"max_block_size": 77}) == 77
    assert client.command(query) == before


def test_errors_carry_clickhouses_code(client: Client) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.query("SELECT * FROM nowhere")
    assert caught.value.code == 60
    assert "UNKNOWN_TABLE" in str(caught.value)


def test_raw_query_in_a_format(client: Client) -> None:
    assert client.raw_query("SELECT 1 AS a, 'x' AS b", fmt="JSONEachRow") == b'{"a":1,"b":"x"}\n'


def test_raw_insert(client: Client, table: str) -> None:
    client.raw_insert(table, ["id", "name"], insert_block='{"id":7,"name":"seven"}\n', fmt="JSONEachRow")
    assert client.query(f"SELECT id, name FROM {table}").result_rows == [(7, "seven")]


def test_no_rows_still_have_columns(client: Client, table: str) -> None:
    assert client.query(f"SELECT id, name FROM {table}").result_rows == []
    assert client.query(f"SELECT id, name FROM {table} LIMIT 0").column_names == ("id", "name")


def request(
    url: str, data: bytes | None = None, headers: dict[str, str] | None = None, **query: Any
) -> tuple[int, str]:
    """What curl would see, logged in as the writer unless the headers say otherwise."""
    try:
        asked = urllib.request.Request(f"{url}/?{urlencode(query)}", data=data, headers=AS_WRITER | (headers or {}))
        with urllib.request.urlopen(asked) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize(
    ("data", "query", "expected"),
    [
        (None, {"query": "SELECT 1"}, (200, "1\n")),
        (b"SELECT 2", {}, (200, "2\n")),
        (b"SELECT 3", {"default_format": "JSONEachRow"}, (200, '{"3":3}\n')),
        (b"SELECT 4 FORMAT CSV", {"default_format": "JSONEachRow"}, (200, "4\n")),
        (b"SELECT {a:UInt8} + 1", {"param_a": "4"}, (200, "5\n")),
        (None, {}, (200, "Ok.\n")),
    ],
)
def test_curl(url: str, data: bytes | None, query: dict[str, str], expected: tuple[int, str]) -> None:
    assert request(url, data, None, **query) == expected


def test_body_is_the_data_of_the_query_in_the_url(url: str) -> None:
    request(url, b"CREATE OR REPLACE TABLE body (a UInt8) ENGINE = Memory")
    compressed = gzip.compress(b'{"a":1}\n{"a":2}')
    insert = "INSERT INTO body FORMAT JSONEachRow"
    assert request(url, compressed, {"Content-Encoding": "gzip"}, query=insert)[0] == 200
    assert request(url, b"SELECT sum(a) FROM body") == (200, "3\n")


def test_get_cannot_change_anything(url: str) -> None:
    status, text = request(url, query="CREATE TABLE sneaky (a UInt8) ENGINE = Memory")
    assert status == 403
    assert "READONLY" in text


@pytest.mark.parametrize(
    ("headers", "query", "says"),
    [
        ({"Content-Encoding": "br"}, {}, "gzip, deflate, zstd, lz4"),
        ({"Content-Encoding": "gzip"}, {}, "is not gzip"),
        ({}, {"compress": "1"}, "Content-Encoding"),
        ({}, {"max_thread": "1"}, "UNKNOWN_SETTING"),
        ({}, {"a;b": "1"}, "UNKNOWN_SETTING"),
    ],
)
def test_what_is_not_understood_is_refused(url: str, headers: dict[str, str], query: dict[str, str], says: str) -> None:
    status, text = request(url, b"SELECT 1", headers, **query)
    assert (status, says in text) == (400, True), text


def test_the_summary_counts_what_was_written(url: str) -> None:
    request(url, b"CREATE OR REPLACE TABLE counted (a UInt8) ENGINE = Memory")
    insert = urllib.request.Request(f"{url}/", data=b"INSERT INTO counted VALUES (1), (2), (3)", headers=AS_WRITER)
    with urllib.request.urlopen(insert) as response:
        summary = json.loads(response.headers["X-ClickHouse-Summary"])
    assert summary["written_rows"] == "3"


def test_an_engine_without_its_configuration_does_not_start(tmp_path: Path) -> None:
    """The address is cut at the `?`, so the path that remains is not the file that we wrote."""
    program = (
        "import pathlib, sys; from nightdesk.local.clickhouse_engine import Engine; Engine(pathlib.Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a?b" / "data")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode != 0
    assert "EngineError" in ended.stderr


def test_data_survives_a_restart(tmp_path: Path) -> None:
    with running_server(tmp_path) as first:
        request(first, b"CREATE TABLE kept (a UInt8) ENGINE = MergeTree ORDER BY a")
        request(first, b"INSERT INTO kept VALUES (42)")
    with running_server(tmp_path) as second:
        assert request(second, b"SELECT a FROM kept") == (200, "42\n")


NO_READS = [
    "SELECT file('/etc/hostname')",
    "SELECT * APPLY(file) FROM (SELECT '/etc/hostname')",
    "SELECT * FROM file('/etc/passwd', LineAsString)",
    "SELECT * FROM `/etc/passwd`",
    "SELECT * FROM view(SELECT * FROM url('http://127.0.0.1:1/', LineAsString))",
    "WITH x AS (SELECT * FROM remote('127.0.0.1', system.one)) SELECT * FROM x",
    "DESCRIBE TABLE file('/etc/passwd')",
    "SELECT 1 INTO OUTFILE '{folder}/written'",
    "/* SELECT */ SHOW TABLES INTO OUTFILE '{folder}/written'",
    "INSERT INTO FUNCTION file('{folder}/written', 'CSV', 'a Int8') VALUES (1)",
    "WITH 1 AS x INSERT INTO kept SELECT x",
    "SELECT 1; DROP TABLE kept",
    "CREATE TEMPORARY TABLE t (a Int8)",
    "SET readonly = 0",
    "SELECT 1 SETTINGS readonly = 0",
    "SYSTEM SHUTDOWN",
    # The bare name of a function is one.
    "SELECT arrayMap(file, ['/etc/passwd'])",
    "SELECT arrayMap(`file`, ['/etc/passwd'])",
    "WITH file AS f SELECT arrayMap(f, ['/etc/passwd'])",
    "SELECT arrayFold((acc, x) -> FILE(x), ['/etc/passwd'], '')",
    # Some settings are expressions, others name files.
    "SELECT 1 SETTINGS additional_result_filter = 'toUInt8(file(''/etc/passwd''))'",
    "SELECT * FROM (SELECT 1 SETTINGS max_threads = 1, additional_result_filter = 'file(''/etc/passwd'')')",
    "EXPLAIN SELECT 1 SETTINGS additional_table_filters = {{'system.one': 'file(''/etc/passwd'') != 1'}}",
    "SELECT 1 FORMAT Template SETTINGS format_template_row = '/etc/passwd'",
    "SELECT 1 FORMAT TSV SETTINGS output_format_schema = '{folder}/written'",
    # A name alone is set to 1.
    "SELECT 1 SETTINGS allow_nondeterministic_mutations",
    "SELECT * FROM (SELECT 1 SETTINGS extremes, allow_ddl)",
    # To lift a limit: 0 is none at all.
    "SELECT 1 SETTINGS max_execution_time = 0",
    "SELECT * FROM (SELECT 1 SETTINGS max_memory_usage = 0)",
    "SELECT 1 SETTINGS max_execution_time = 601",
    "SELECT 1 SETTINGS max_execution_time = DEFAULT",
    "SELECT 1 SETTINGS max_memory_usage = '9000000000'",
    "SELECT 1 UNION ALL (SELECT 1 SETTINGS extremes = 1, max_threads = 1000)",
]


@pytest.mark.parametrize("login", [AS_READER, AS_VIEWER, AS_SINK], ids=lambda login: login["X-ClickHouse-User"])
@pytest.mark.parametrize("statement", NO_READS)
def test_only_the_user_that_migrates_does_more_than_read_tables(
    url: str, statement: str, login: dict[str, str], tmp_path: Path
) -> None:
    status, text = request(url, statement.format(folder=tmp_path).encode(), login)
    assert status in (400, 403, 404), text
    assert not list(tmp_path.iterdir())
    assert "root:" not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("additional_result_filter", "toUInt8(file('/etc/passwd'))"),
        ("format_schema", "/etc/passwd"),
        ("max_memory_usage_for_user", "0"),
    ],
)
def test_the_reader_sets_nothing_that_is_evaluated_or_names_a_file(url: str, name: str, value: str) -> None:
    status, text = request(url, b"SELECT 1", AS_READER, **{name: value})
    assert (status, f"may not set {name}" in text, "root:" in text) == (403, True, False)


@pytest.mark.parametrize("value", ["0", "-1", "601", "DEFAULT", "inf", "nan", ""])
def test_the_reader_lifts_no_limit_beside_the_statement_either(url: str, value: str) -> None:
    status, text = request(url, b"SELECT 1", AS_READER, max_execution_time=value)
    assert (status, "above 0, up to 600" in text) == (403, True), text


TERABYTE = "SELECT sum(length(randomString(16000000))) FROM numbers(70000)"


@pytest.mark.parametrize("login", [AS_READER, AS_WRITER], ids=["reader", "writer"])
def test_a_statement_that_needs_more_memory_than_there_is_fails_alone(url: str, login: dict[str, str]) -> None:
    """The system would end the process, or another one of this machine."""
    code, answer = request(url, headers=login, query=TERABYTE)
    assert (code, "MEMORY_LIMIT_EXCEEDED" in answer) == (500, True), answer
    assert request(url, headers=login, query="SELECT 1") == (200, "1\n")


def test_a_read_has_an_end_because_the_audit_is_written_behind_it(url: str) -> None:
    query = "SELECT value FROM system.settings WHERE name = 'max_execution_time'"
    assert request(url, headers=AS_READER, query=query) == (200, f"{READ_TIMEOUT_S}\n")
    endless = "SELECT count() FROM numbers(1000000000000)"
    code, answer = request(url, headers=AS_READER, query=endless, max_execution_time=0.2)
    assert (code, "TIMEOUT_EXCEEDED" in answer) == (500, True), answer


def test_the_reader_shapes_the_answer(url: str) -> None:
    asked = b"SELECT toDateTime(0, 'UTC') AS t SETTINGS max_threads = 1, output_format_json_quote_64bit_integers = 0"
    assert request(url, asked, AS_READER, date_time_output_format="iso") == (200, "1970-01-01T00:00:00Z\n")
    assert request(url, b"EXPLAIN json = 1 SELECT 1", AS_READER)[0] == 200


def test_the_reader_reads(url: str) -> None:
    request(url, b"CREATE OR REPLACE TABLE read (a UInt8) ENGINE = MergeTree ORDER BY a")
    request(url, b"INSERT INTO read VALUES (7)")
    for question in (b"SELECT a FROM read -- all", b"WITH 7 AS x SELECT x", b"(SELECT 7)", b"SELECT 7 FORMAT CSV;"):
        assert request(url, question, AS_READER) == (200, "7\n")
    assert request(url, b"SELECT {a:UInt8}", AS_READER, param_a="7", readonly="0") == (200, "7\n")


RECORDS = b"""INSERT INTO audit_records (record_id, kind, subject, case_id, agent, time) FORMAT JSONCompactEachRow
["1", "received", "t", "c-1", "refunds", 1], ["2", "received", "t", "c-2", "triage", 1]"""


@pytest.fixture(scope="module")
def migrated(url: str) -> str:
    with clickhouse_connect.get_client(dsn=url, username="migrate", password="w#1/?", database="nightdesk") as client:
        migrate(client)
    assert request(url, RECORDS, AS_SINK)[0] == 200
    return url


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO case_states (case_id) FORMAT JSONCompactEachRow ['forged']",
        "INSERT INTO audit_records (record_id) SELECT reason FROM audit_records",
        "INSERT INTO audit_records (record_id) FORMAT Values (file('/etc/passwd'))",
        "INSERT INTO audit_records (record_id) VALUES (file('/etc/passwd'))",
        "INSERT INTO audit_records (record_id) FROM INFILE '/etc/passwd' FORMAT TSV",
        "INSERT INTO FUNCTION file('/tmp/written', 'CSV', 'a Int8') FORMAT TSV\n1",
        "ALTER TABLE audit_records DELETE WHERE 1",
        "DELETE FROM audit_records WHERE 1",
        "SELECT reason FROM audit_records",
        "SELECT subject FROM case_states",
    ],
)
def test_the_sink_inserts_records_and_looks_up_their_places(migrated: str, statement: str) -> None:
    assert request(migrated, statement.encode(), AS_SINK)[0] == 403
    assert request(migrated, b"SELECT record_id, `offset` FROM audit_records WHERE record_id = '1'", AS_SINK)[0] == 200


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM audit_records",
        "SELECT count() FROM case_states",
        "SELECT reasoning FROM decisions",
        "SELECT d.* EXCEPT (parameters) FROM decisions AS d",
        "SELECT COLUMNS('reason') FROM decisions",
        "SELECT 1 FROM cases WHERE (SELECT max(reasoning) FROM decisions) = ''",
        "WITH r AS (SELECT reasoning FROM decisions) SELECT count() FROM r",
        "SELECT count() FROM cases JOIN decisions USING (subject) WHERE length(reasoning) > 3",
        "SELECT * FROM merge('nightdesk', '.*')",
        "SELECT * FROM view(SELECT reason FROM audit_records)",
        "SELECT case_id IN (SELECT case_id FROM audit_records) FROM cases",
        "EXPLAIN SELECT (SELECT max(reason) FROM audit_records)",
        "SHOW TABLES WHERE (SELECT count() FROM audit_records) > 0",
        "DESCRIBE (SELECT reasoning FROM decisions)",
        "SELECT reasoning FROM decisions FORMAT JSON",
    ],
)
def test_the_viewer_reads_the_views_without_texts(migrated: str, statement: str) -> None:
    status, text = request(migrated, statement.encode(), AS_VIEWER)
    assert (status, "ACCESS_DENIED" in text) == (403, True), text


def test_each_viewer_sees_the_rows_of_its_agents(migrated: str) -> None:
    for of in ("cases", "cases AS c", "(SELECT * FROM cases)", f"{DATABASE}.cases"):
        question = f"SELECT agent FROM {of} ORDER BY agent FORMAT CSV".encode()
        assert request(migrated, question, AS_VIEWER) == (200, '"refunds"\n"triage"\n')
        assert request(migrated, question, AS_REFUNDS) == (200, '"refunds"\n')
    assert request(migrated, b"SELECT agent FROM cases", AS_REFUNDS, additional_table_filters="{}")[0] == 403
    assert request(migrated, b"SELECT count() FROM ends", AS_REFUNDS)[0] == 403
    assert request(migrated, b"SHOW TABLES", AS_VIEWER)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-ClickHouse-Key": "wrong"},
        {"X-ClickHouse-User": "", "X-ClickHouse-Key": ""},
        {"X-ClickHouse-User": "default", "X-ClickHouse-Key": ""},
        {"Authorization": "Basic bm9ib2R5OndyaXRlcg=="},
        {"Authorization": "Basic ="},
        {"X-ClickHouse-Key": "\xff"},  # a byte that is no text
        {"X-ClickHouse-User": "\xff"},
    ],
)
def test_without_its_password_nothing_is_answered(url: str, headers: dict[str, str]) -> None:
    status, text = request(url, b"SELECT 7", headers)
    assert (status, "AUTHENTICATION_FAILED" in text) == (401, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "evil.example:8123"},
        {"Host": "[::1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_web_page_is_not_answered(url: str, headers: dict[str, str]) -> None:
    assert request(url, b"SELECT 7", headers)[0] == 403
