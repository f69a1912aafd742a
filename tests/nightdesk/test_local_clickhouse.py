"""One battery for our ClickHouse server and for the same engine in process: a client must not see a difference."""

from __future__ import annotations

import contextlib
import gzip
import json
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

from nightdesk.local.parts import answers_http, claim_port


@contextlib.contextmanager
def running_server(path: Path) -> Iterator[str]:
    """The server as `nightdesk up` starts it; gives its url."""
    port = claim_port(0, "")
    command = [sys.executable, "-m", "nightdesk.local.clickhouse", "--path", str(path), "--port", str(port)]
    with subprocess.Popen(command) as process:
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
        found = clickhouse_connect.get_client(dsn=url, compress=request.param == "http compressed")
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
    """What curl would see."""
    try:
        asked = urllib.request.Request(f"{url}/?{urlencode(query)}", data=data, headers=headers or {})
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
    with urllib.request.urlopen(f"{url}/", data=b"INSERT INTO counted VALUES (1), (2), (3)") as response:
        summary = json.loads(response.headers["X-ClickHouse-Summary"])
    assert summary["written_rows"] == "3"


def test_data_survives_a_restart(tmp_path: Path) -> None:
    with running_server(tmp_path) as first:
        request(first, b"CREATE TABLE kept (a UInt8) ENGINE = MergeTree ORDER BY a")
        request(first, b"INSERT INTO kept VALUES (42)")
    with running_server(tmp_path) as second:
        assert request(second, b"SELECT a FROM kept") == (200, "42\n")
