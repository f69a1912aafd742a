"""Each record is stored once, the first of each id counts, however often and in whatever batches it arrives."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightdesk.schemas.records import AuditRecord
from nightdesk.sinks.audit.table import AuditTable, InsertSlice
from nightdesk.sinks.clickhouse.migrate import migrations
from tests.sinks.records import START, at, decided, land, of_case, parts, record

# Avro's long, and the years that ClickHouse's DateTime64(6) can show.
LONG = st.integers(-(2**63), 2**63 - 1)
TIME = st.datetimes(datetime(1901, 1, 1), datetime(2298, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants it
TEXT = st.text()
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("subject", "event_id", "event_source", "event_type", "reason", "detail"), TEXT),
    **dict.fromkeys(("case_id", "agent", "charter_version", "decision_id", "traceparent"), st.none() | TEXT),
    **dict.fromkeys(("action", "disposition", "provider", "model"), st.none() | TEXT),
    **dict.fromkeys(("step", "input_tokens", "output_tokens", "cost_microusd", "latency_ms"), LONG),
    "confidence": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "record_id": st.uuids().map(str),
    "time": TIME,
    "case_at": TIME,
}
RECORDS = st.builds(AuditRecord, **FIELDS)


def stored(client: Client, view: str = "records") -> list[AuditRecord]:
    names = ", ".join(AuditRecord.model_fields)
    rows = client.query(f"SELECT {names} FROM {view} ORDER BY topic, `partition`, `offset`").named_results()
    return [AuditRecord.model_validate(row) for row in rows]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(RECORDS, min_size=1, max_size=20, unique_by=lambda record: record.record_id))
def test_a_record_comes_back_as_it_was(client: Client, records: list[AuditRecord]) -> None:
    client.command("TRUNCATE TABLE audit_records")
    land(client, *records)
    assert stored(client) == records


def test_the_columns_are_the_records_fields_and_their_place(client: Client) -> None:
    columns = client.query(
        "SELECT name FROM system.columns WHERE table = 'audit_records' AND database = currentDatabase()"
    )
    assert {row[0] for row in columns.result_rows} == {
        *AuditRecord.model_fields, "topic", "partition", "offset", "incarnation", "precedence"
    }  # fmt: skip


def test_a_record_about_no_case_has_its_own_time(client: Client) -> None:
    land(client, record("control", 5, case_at=None), record("received", 0, **of_case(), case_at=at(3)))
    assert [(one.time, one.case_at) for one in stored(client)] == [(at(5), at(5)), (at(0), at(3))]


def test_the_first_by_id_wins_whatever_arrives_later(client: Client) -> None:
    first = record("received", 0, record_id="r", reason="first")
    # Another month is another part of the table, which no merge ever brings together.
    again = first.model_copy(update={"reason": "second", "time": datetime(2027, 1, 1, tzinfo=UTC)})
    land(client, again, first=5)
    land(client, first, first=2)
    assert [found.reason for found in stored(client)] == ["first"]
    client.command("OPTIMIZE TABLE audit_records FINAL")
    assert [found.reason for found in stored(client)] == ["first"]


def test_the_same_batch_twice_is_stored_once(client: Client) -> None:
    records = [record("received", seconds) for seconds in range(3)]
    land(client, *records)
    land(client, *records)
    assert len(stored(client, "audit_records")) == 3


def of_partition(partition: int, count: int = 3, first: int = 0, **fields: Any) -> InsertSlice:
    records = [record("received", n, record_id=f"{partition}-{n}", **fields) for n in range(first, first + count)]
    return InsertSlice("test.audit", partition, records, range(first, first + count))


def test_many_partitions_land_in_one_insert(client: Client) -> None:
    slices = [of_partition(partition) for partition in (2, 0, 1)]
    AuditTable(lambda: client).insert(slices)
    assert stored(client) == [
        one for insert_slice in sorted(slices, key=lambda one: one.partition) for one in insert_slice.records
    ]
    assert parts(client) == 1


def test_the_same_partitions_in_another_order_are_stored_once(client: Client) -> None:
    slices = [of_partition(partition, count=1) for partition in range(500)]
    table = AuditTable(lambda: client)
    table.insert(slices)
    table.insert(slices[::-1])
    assert len(stored(client, "audit_records")) == 500


@pytest.mark.parametrize("other", [of_partition(2), of_partition(1, count=4), of_partition(1, first=1)])
def test_a_batch_that_differs_in_one_partition_is_another(client: Client, other: InsertSlice) -> None:
    """Its token names all of them: ClickHouse must not take new records for a repetition."""
    table = AuditTable(lambda: client)
    table.insert([of_partition(0), of_partition(1)])
    table.insert([of_partition(0), other])
    assert {one.record_id for one in other.records} <= {one.record_id for one in stored(client)}


def test_a_batch_of_many_megabytes_is_one_part_and_stored_once(client: Client) -> None:
    """ClickHouse reads so much in pieces; if it cut them into blocks, it could store a part of the batch."""
    slices = [of_partition(partition, count=2000, detail="x" * 10_000) for partition in range(2)]
    table = AuditTable(lambda: client)
    table.insert(slices)
    table.insert(slices)
    assert client.query("SELECT count(), uniq(record_id) FROM audit_records").result_rows == [(4000, 4000)]
    assert parts(client) == 1


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_batch_cut_anew_counts_once(client: Client, cut: int) -> None:
    records = [record("received", seconds) for seconds in range(4)]
    land(client, *records)
    land(client, *records[:cut])
    land(client, *records[cut:], first=cut)
    assert stored(client) == records


def test_rows_that_landed_are_left_out_of_the_next_insert(client: Client) -> None:
    records = [record("received", seconds) for seconds in range(4)]
    land(client, *records[:2], first=10)
    table = AuditTable(lambda: client)
    again = InsertSlice("test.audit", 0, records, range(10, 14))
    assert table.highest_offset(again) == 11
    left, _ = again.divided(table.stored(again))
    assert (list(left.records), list(left.offsets)) == (records[2:], [12, 13])


def test_another_record_at_the_same_offset_is_not_taken_for_landed(client: Client) -> None:
    land(client, record("received", 0))
    table = AuditTable(lambda: client)
    other = InsertSlice("test.audit", 0, [record("received", 1)], [0])
    assert other.divided(table.stored(other))[0] == other
    elsewhere = replace(other, partition=1), replace(other, topic="other.audit"), replace(other, incarnation=1)
    assert [table.highest_offset(one) for one in (other, *elsewhere)] == [0, -1, -1, -1]


def test_each_id_of_a_topic_is_an_incarnation_and_a_restart_is_none(client: Client) -> None:
    table = AuditTable(lambda: client)
    asked = ("", "id-a", "id-a", "id-b", "id-a", "id-b", "")
    assert [table.incarnation("test.audit", topic_id) for topic_id in asked] == [0, 0, 0, 1, 0, 1, 1]
    assert table.incarnation("other.audit", "id-c") == 0


def test_a_recreated_topic_neither_hides_nor_overrides_what_an_earlier_one_had(client: Client) -> None:
    """It counts its offsets from 0 again. Of two records with one id the first counts, which had a higher offset."""
    table = AuditTable(lambda: client)
    first = decided(1, reason="first", cost_microusd=1)
    again = first.model_copy(update={"reason": "again", "cost_microusd": 2})
    # As many rows at the same offsets: ClickHouse must not take one insert for a repetition of the other.
    table.insert([InsertSlice("test.audit", 0, [record("received", 0, **of_case("evt-2")), first], [7, 8])])
    recreated = InsertSlice("test.audit", 0, [again, record("received", 0, **of_case("evt-3"))], [7, 8], incarnation=1)
    assert (table.highest_offset(recreated), table.stored(recreated)) == (-1, {})
    table.insert([recreated])
    assert table.stored(recreated) == {
        offset: one.record_id for offset, one in zip([7, 8], recreated.records, strict=True)
    }
    for _ in range(2):
        assert [one.reason for one in stored(client) if one.kind == "decided"] == ["first"]
        assert client.query("SELECT cost_microusd FROM decisions").result_rows == [(1,)]
        assert client.query("SELECT count() FROM records").result_rows == [(3,)]
        client.command("OPTIMIZE TABLE audit_records FINAL")
        client.command("OPTIMIZE TABLE decision_facts FINAL")


def test_the_facts_of_an_incarnation_are_computed_as_before() -> None:
    """A view that fills facts is written whole where it changes: only the precedence may be another."""
    before, now = ({one.name: one.text for one in migrations()}[name] for name in ("0003_facts", "0005_places"))
    precedence = re.compile(r"bitNot\([^\n]*\) AS precedence")
    changed = re.findall(r"ALTER TABLE (\w+) MODIFY QUERY\n(.*?);\n", now, re.DOTALL)
    assert len(changed) == 4
    for name, query in changed:
        (former,) = re.findall(rf"CREATE MATERIALIZED VIEW IF NOT EXISTS {name} TO \w+ AS\n(.*?);\n", before, re.DOTALL)
        plain = [" ".join(precedence.sub("", text).replace(", incarnation", "").split()) for text in (former, query)]
        assert plain[0] == plain[1]


def test_records_of_many_months_land_in_one_insert(client: Client) -> None:
    records = [
        record("received", month, time=datetime(1990 + month // 12, month % 12 + 1, 1, tzinfo=UTC))
        for month in range(150)
    ]
    land(client, *records)
    assert stored(client) == records


def test_a_table_that_lacks_a_field_refuses_the_record(client: Client) -> None:
    for view in ("audit_feed_of_records", "audit_places_of_records"):  # they read the column
        client.command(f"DROP VIEW {view}")
    client.command("ALTER TABLE audit_records DROP COLUMN traceparent")
    with pytest.raises(DatabaseError, match="traceparent"):
        land(client, record("received", 0))


def test_times_keep_their_microseconds(client: Client) -> None:
    time = START.replace(microsecond=123_457)
    land(client, record("received", 0, time=time))
    assert stored(client)[0].time == time
    assert at(0) == START
