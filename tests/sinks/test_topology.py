"""What is executed for a cluster is what is executed for one server, with engines and clauses for replicas."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.sinks.clickhouse import views
from nightdesk.sinks.clickhouse.migrate import LEDGER, OtherTopology, migrate, migrations
from nightdesk.sinks.clickhouse.quoting import literal
from nightdesk.sinks.clickhouse.topology import ONE_SERVER, Topology

PATH = "/clickhouse/tables/{shard}/{database}/{table}"
CLUSTER = Topology("audit", replicated=True, path=PATH)
PLACE = f"'{PATH}', '{{replica}}'"
CLAUSE = " ON CLUSTER `audit`"


def written() -> list[str]:
    """Every statement that `nightdesk migrate` executes, as the files have it."""
    return [LEDGER, *(text for one in migrations() for text in one.statements(CLUSTER))] + [
        CLUSTER.statement(view.statement("d")) for view in views.views()
    ]


def formatted(client: Client, statement: str) -> str:
    """ClickHouse refuses what it cannot parse."""
    return str(client.query(f"SELECT formatQuery({literal(statement)})").result_rows[0][0])


def test_every_statement_is_the_one_for_one_server_but_for_the_cluster(client: Client) -> None:
    single = [LEDGER, *(text for one in migrations() for text in one.statements(ONE_SERVER))]
    single += [view.statement("d") for view in views.views()]
    replicated = [CLUSTER.statement(LEDGER), *written()[1:]]
    for one, other in zip(single, replicated, strict=True):
        defines = not one.lstrip().startswith("INSERT")
        assert (CLAUSE in other) == defines
        plain = re.sub(rf"Replicated(\w*MergeTree)\({re.escape(PLACE)}(?:, )?", r"\1(", other.replace(CLAUSE, ""))
        expected = ONE_SERVER.statement(one)
        assert formatted(
            client, plain.replace("MergeTree() ", "MergeTree ").replace("MergeTree()\n", "MergeTree\n")
        ) == formatted(client, expected)
        assert "ON CLUSTER" in formatted(client, other) or not defines


def test_an_engine_has_its_place_in_keeper_or_the_default_of_the_servers() -> None:
    text = "CREATE TABLE IF NOT EXISTS a (b Int8) ENGINE = ${replicated}ReplacingMergeTree(`v`, `d`) ORDER BY b"
    assert f"ENGINE = ReplicatedReplacingMergeTree({PLACE}, `v`, `d`) ORDER" in CLUSTER.statement(text)
    default = Topology(replicated=True).statement(text)
    assert "ENGINE = ReplicatedReplacingMergeTree(`v`, `d`) ORDER" in default
    assert "ON CLUSTER" not in default
    assert "ENGINE = ReplacingMergeTree(`v`, `d`) ORDER" in ONE_SERVER.statement(text)


def test_a_statement_that_may_define_something_is_not_left_to_one_server() -> None:
    with pytest.raises(ValueError, match="every server"):
        CLUSTER.statement("RENAME TABLE a TO b")
    assert ONE_SERVER.statement("RENAME TABLE a TO b") == "RENAME TABLE a TO b"


def test_tables_of_one_server_are_not_continued_as_replicas(client: Client) -> None:
    with pytest.raises(OtherTopology, match="ReplacingMergeTree"):
        migrate(client, Topology(replicated=True))
    assert migrate(client) == []


def test_views_of_a_cluster_name_their_definer_because_its_servers_know_no_user() -> None:
    said: list[str] = []
    answers = SimpleNamespace(query=lambda _sql: SimpleNamespace(result_rows=[("m`e",)]), command=said.append)
    found = views.Changes(apply=[(views.view("records"), "d")], drop=["old"])
    views.update(cast(Client, cast(Any, answers)), found, CLUSTER)
    assert said[0].count(r"DEFINER = `m\`e` SQL SECURITY DEFINER") == 1
    assert [CLAUSE in one for one in said] == [True, True]
