"""`nightdesk audit verify`: what the sink wrote agrees with the topic, and one row that differs is named."""

from __future__ import annotations

from typing import Any

from clickhouse_connect.driver.client import Client

from nightdesk.commands.sink import sink_settings
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.settings import Settings
from nightdesk.sinks.settings import ClickHouseSettings
from tests.nightdesk.command_line import CommandLine
from tests.sinks.records import decided, land, record
from tests.sinks.test_sink import committed, eventually, running, send, send_records

COUNT = 300


def written(settings: Settings) -> None:
    """Some records, one of which costs money, and one that nobody can read."""
    records = [record("received", n, subject=f"ticket-{n % 20}", record_id=f"r-{n}") for n in range(COUNT)]
    with registered_codec(settings) as codec:
        send_records(settings, codec, [*records, decided(1)])
        send(settings, [("ticket-1", b"no record")])
        with running(sink_settings(settings), codec):
            eventually(lambda: committed(settings) == COUNT + 2)


def faults(document: Any) -> set[tuple[str, str]]:
    return {(one["fault"], one["record_id"]) for one in document["findings"]}


def test_a_night_is_as_it_was_written_and_a_row_that_differs_is_named(
    topics: Settings, database: ClickHouseSettings, nightdesk: CommandLine, client: Client
) -> None:
    written(topics.model_copy(update={"clickhouse": database}))
    result = nightdesk("audit", "verify")
    assert (result.code, result.err) == (0, "")
    assert f"all {COUNT + 2} rows are as they were written" in result.out
    assert "the facts that views read are what the rows say" in result.out
    totals = nightdesk("audit", "verify", "-o", "json").json()["partitions"]
    assert sum(one["topic"]["records"] for one in totals) == COUNT + 2
    assert sum(one["clickhouse"]["cost_microusd"] for one in totals) == 4_200
    assert all(one["topic"] == one["clickhouse"] for one in totals)
    assert [one["chain_from"] for one in totals if one["committed"]] == [0] * sum(
        1 for one in totals if one["committed"]
    )

    client.command("ALTER TABLE audit_records UPDATE reason = 'x' WHERE record_id = 'r-7' SETTINGS mutations_sync = 1")
    client.command("ALTER TABLE audit_records DELETE WHERE record_id = 'r-9' SETTINGS mutations_sync = 1")
    topic = f"{topics.kafka.topic_prefix}audit"
    land(client, record("received", 5, record_id="forged"), first=3, topic=topic)
    result = nightdesk("audit", "verify", "-o", "json")
    assert result.code == 1
    assert {("changed", "r-7"), ("removed", "r-9"), ("added", "forged")} <= faults(result.json())
    assert {id_ for fault, id_ in faults(result.json()) if fault in ("changed", "removed")} == {"r-7", "r-9"}
    assert "differences" in nightdesk("audit", "verify").err


def test_what_is_gone_from_clickhouse_altogether_is_named_by_the_topic(
    topics: Settings, database: ClickHouseSettings, nightdesk: CommandLine, client: Client
) -> None:
    written(topics.model_copy(update={"clickhouse": database}))
    for table in ("audit_records", "audit_places"):
        client.command(f"ALTER TABLE {table} DELETE WHERE record_id = 'r-9' SETTINGS mutations_sync = 1")
    assert ("removed", "r-9") in faults(nightdesk("audit", "verify", "-o", "json").json())


def test_a_fact_that_somebody_changed_is_named_although_its_row_is_as_it_was(
    topics: Settings, database: ClickHouseSettings, nightdesk: CommandLine, client: Client
) -> None:
    """What people read are the facts: the cost of a decision in SQL, on dashboards, in the console."""
    written(topics.model_copy(update={"clickhouse": database}))
    client.command("ALTER TABLE decision_facts UPDATE cost_microusd = 5 WHERE true SETTINGS mutations_sync = 1")
    result = nightdesk("audit", "verify", "-o", "json")
    assert (result.code, result.json()["findings"]) == (1, [])
    (one,) = result.json()["facts"]
    assert (one["fault"], one["table"], one["key"]) == ("changed", "decision_facts", decided(1).record_id)
    assert "it is not what the rows of audit_records say" in nightdesk("audit", "verify").out
