"""Ask: one read in SQL, and nothing else."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from nightdesk.console.pages.ask import EXAMPLES, SHOWN
from tests.console.server import RunningConsole


def test_an_answer_is_a_table_its_twin_and_a_file(console: RunningConsole) -> None:
    sql = quote("SELECT number AS n, 'a<b' AS t FROM numbers(2)")
    assert "a&lt;b" in console.get(f"/ask?sql={sql}").text
    twin = console.get(f"/ask.json?sql={sql}").json()
    assert (twin["columns"], twin["rows"], twin["is_cut"]) == (["n", "t"], [[0, "a<b"], [1, "a<b"]], False)
    file = console.get(f"/ask.csv?sql={sql}")
    assert file.text == '"n","t"\n0,"a<b"\n1,"a<b"\n'
    assert file.headers["content-disposition"] == 'attachment; filename="answer.csv"'


def test_a_large_answer_is_cut_and_says_so(console: RunningConsole) -> None:
    twin = console.get(f"/ask.json?sql={quote('SELECT number FROM numbers(100000)')}").json()
    assert len(twin["rows"]) == SHOWN.rows
    assert twin["is_cut"]


@pytest.mark.parametrize("lifted", ["max_result_rows = 0", "max_result_rows = 5000", "max_execution_time = 21"])
def test_a_question_does_not_lift_the_pages_own_bounds(console: RunningConsole, lifted: str) -> None:
    refused = console.get(f"/ask.json?sql={quote(f'SELECT number FROM numbers(9) SETTINGS {lifted}')}")
    assert refused.status_code == 400
    assert "above 0, up to" in refused.json()["problem"]


@pytest.mark.parametrize(
    "sql", ["DROP TABLE audit_records", "SELECT * FROM url('http://127.0.0.1:9')", "SELECT 1 INTO OUTFILE 'x'", "SELEC"]
)
def test_what_is_no_read_is_refused_on_the_page(console: RunningConsole, sql: str) -> None:
    refused = console.get(f"/ask.json?sql={quote(sql)}")
    assert refused.status_code == 400
    assert "ClickHouse" in refused.json()["problem"]
    assert console.get(f"/ask.csv?sql={quote(sql)}").status_code >= 400


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example[0])
def test_every_example_has_an_answer(console: RunningConsole, example: tuple[str, str]) -> None:
    assert console.get(f"/ask.json?sql={quote(example[1])}").status_code == 200


def test_a_person_of_some_agents_may_not_ask(console: RunningConsole) -> None:
    assert console.get("/ask?sql=SELECT+1", "nele").status_code == 403
    with console.browser("nele") as nele:
        assert 'href="/ask"' not in nele.get("/cases").text
