"""A script is divided at the semicolons that end statements, and at no other."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.sinks.clickhouse.migrate import Migration
from nightdesk.sinks.clickhouse.script import statements_of
from nightdesk.sinks.clickhouse.topology import Topology

# Each is one piece of SQL in which a semicolon ends nothing.
WHOLE = (
    "'a;b'",
    "'it''s;'",
    r"'a\';b'",
    r"'\\'",
    "`a;b`",
    '"a;b"',
    "$$a;b$$",
    "$x$ a;$$;b $x$",
    "'-- ;'",
    "'/* ;'",
    "'$$;'",
)
COMMENTS = ("-- a;b '\n", "/* a;b ' */", "-- $$\n", "/* -- */")


@pytest.mark.parametrize("literal", WHOLE)
def test_a_semicolon_in_quotes_ends_nothing(literal: str) -> None:
    assert statements_of(f"SELECT {literal}; SELECT 2;") == [f"SELECT {literal}", "SELECT 2"]


@pytest.mark.parametrize("comment", COMMENTS)
def test_comments_are_left_out_and_separate(comment: str) -> None:
    assert [one.split() for one in statements_of(f"SELECT{comment}1;{comment}SELECT 2 {comment}")] == [
        ["SELECT", "1"],
        ["SELECT", "2"],
    ]


@pytest.mark.parametrize("text", ["", " ;; ", "-- only a comment; nothing else"])
def test_a_script_without_a_statement_has_none(text: str) -> None:
    assert statements_of(text) == []


@pytest.mark.parametrize("text", ["SELECT 'a; SELECT 2", "SELECT `a; b", "SELECT $$a; b", "SELECT 1 - 1 / 2"])
def test_what_is_not_closed_stays_whole(text: str) -> None:
    assert statements_of(text) == [text]


PIECES = st.sampled_from([*WHOLE, "SELECT", " ", "1", "-", "/", "$", "a - b"])


@given(st.lists(st.lists(PIECES, min_size=1).map(" ".join).filter(str.strip), min_size=1))
def test_statements_that_are_joined_are_found_again(statements: list[str]) -> None:
    assert statements_of(" ;\n".join(statements)) == [one.strip() for one in statements]


@pytest.mark.parametrize("literal", [one for one in WHOLE if one[0] in "'$"])
def test_clickhouse_ends_the_literals_where_we_do(client: Client, literal: str) -> None:
    (statement, other) = statements_of(f"SELECT {literal} AS a; SELECT 2")
    assert client.query(statement).row_count == 1
    assert client.query(other).result_rows == [(2,)]


def test_a_dollar_in_a_migration_is_sql() -> None:
    migration = Migration(1, "0001_a", "SELECT match('a', '^a$') /* ${x} */; SELECT '$y', '${replicated}MergeTree'")
    assert migration.statements(Topology(replicated=True)) == [
        "SELECT match('a', '^a$')",
        "SELECT '$y', 'ReplicatedMergeTree'",
    ]
