"""A row that was changed, removed or added is found and named, and what the sink wrote is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import TopicPartition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightdesk.schemas.records import AuditRecord, ForgottenSubject
from nightdesk.sinks.audit.chain import BEGINNING, OFFSETS_PER_LINK, Chains, Head
from nightdesk.sinks.audit.committed import chain_value, is_of_log, metadata_of
from nightdesk.sinks.audit.digest import digest
from nightdesk.sinks.audit.forgotten import ForgottenSubjects
from nightdesk.sinks.audit.table import AuditTable, InsertSlice
from nightdesk.sinks.clickhouse.forgetting import delete, places_of
from nightdesk.sinks.clickhouse.retention import Retention, changes
from nightdesk.sinks.verification.absence import absence
from nightdesk.sinks.verification.chains import behind, chains, links, walked, whole, without_beginning
from nightdesk.sinks.verification.findings import Finding
from nightdesk.sinks.verification.rows import compared_rows, old_rows_without_place
from tests.sinks.records import START, decided, land, record
from tests.sinks.test_table import RECORDS

TOPIC = "test.audit"
EVER = Retention(600)
COUNT = 2 * OFFSETS_PER_LINK + 100


def records(partition: int, count: int = COUNT) -> list[AuditRecord]:
    return [record("received", n, subject=f"ticket-{n % 9}", record_id=f"{partition}-{n}") for n in range(count)]


class Sink:
    """What the sink does with a batch, and what it commits."""

    def __init__(self, client: Client) -> None:
        self._table = AuditTable(lambda: client)
        self.chains = Chains(self._table)
        self.ends: dict[int, int] = {}

    def write(self, found: Sequence[AuditRecord], first: int = 0, partition: int = 0, incarnation: int = 0) -> None:
        batch = InsertSlice(TOPIC, partition, found, range(first, first + len(found)), incarnation)
        self._table.insert([batch])
        self.chains.extend([batch])
        self.ends[partition] = first + len(found)

    def starts_again(self) -> None:
        committed = [TopicPartition(TOPIC, one, end, self.chains.value(one)) for one, end in self.ends.items()]
        self.chains = Chains(self._table)
        self.chains.resume(committed)


def findings(
    client: Client, sink: Sink, retention: Retention = EVER, tombstones: Sequence[ForgottenSubject] = ()
) -> list[Finding]:
    """By rows, then by chains."""
    missing = absence(client, retention, ForgottenSubjects(), tombstones)
    found = list(compared_rows(client, TOPIC, missing, lambda _rows: None))
    for chain in chains(client, TOPIC):
        head = Head(sink.ends[chain.partition], sink.chains.value(chain.partition))
        stored = [*links(client, chain), head]
        found += without_beginning(chain, stored)
        found += walked(client, chain, whole(client, chain, stored, missing))
        found += behind(client, chain, head.offset)
    return found


def named(found: Sequence[Finding]) -> set[tuple[str, int, int, str]]:
    return {(one.fault, one.place.partition, one.place.offset, one.record_id) for one in found}


@pytest.fixture
def sink(client: Client) -> Sink:
    """Two partitions of some links each."""
    sink = Sink(client)
    for partition in range(2):
        sink.write(records(partition), partition=partition)
    return sink


def changed(client: Client, how: str) -> None:
    client.command(f"ALTER TABLE {how} SETTINGS mutations_sync = 1")


@pytest.mark.parametrize("behind", ["", "t", "\x10", "a" * 9, "{", '"}'])
@pytest.mark.parametrize("value", ["0123456789abcdef" * 4, ""])
def test_bytes_that_the_client_read_behind_the_metadata_are_not_of_it(value: str, behind: str) -> None:
    place = TopicPartition("audit", 0, 7, metadata_of(value, "id-1") + behind)
    assert chain_value(place) == value
    assert (is_of_log(place, "id-1"), is_of_log(place, "id-2"), is_of_log(place, "")) == (True, False, True)


def test_a_commit_of_an_older_version_is_believed() -> None:
    value = "0123456789abcdef" * 4
    place = TopicPartition("audit", 0, 7, value + "junk")
    assert (chain_value(place), is_of_log(place, "id-1")) == (value, True)
    nothing = TopicPartition("audit", 0, -1001)
    assert (chain_value(nothing), is_of_log(nothing, "id-1")) == ("", True)


def test_nothing_is_found_where_nothing_was_changed(client: Client, sink: Sink) -> None:
    assert findings(client, sink) == []
    sink.starts_again()
    sink.write([*records(0, 50), *records(5, 1500)], first=COUNT)  # fifty of them come again
    sink.write(records(1)[100:300], first=100, partition=1)
    sink.ends[1] = COUNT
    for _ in range(2):
        assert findings(client, sink) == []
        client.command("OPTIMIZE TABLE audit_records FINAL")
    offsets = [one.offset for one in links(client, chains(client, TOPIC)[0])]
    assert offsets == list(range(0, COUNT + 1550, OFFSETS_PER_LINK))


def test_one_changed_row_is_named(client: Client, sink: Sink) -> None:
    changed(client, "audit_records UPDATE cost_microusd = 1 WHERE record_id = '1-1500'")
    assert named(findings(client, sink)) == {("changed", 1, 1500, "1-1500")}


def test_one_removed_row_is_named(client: Client, sink: Sink) -> None:
    changed(client, "audit_records DELETE WHERE record_id = '0-7'")
    assert named(findings(client, sink)) == {("removed", 0, 7, "0-7")}


@pytest.mark.parametrize("offset", [7, COUNT])
def test_one_added_row_is_named(client: Client, sink: Sink, offset: int) -> None:
    """With everything that an insert fills: only the chain knows that it was not the sink."""
    land(client, record("received", 5, record_id="forged"), first=offset)
    assert ("added", 0, offset, "forged") in named(findings(client, sink))


def test_a_row_that_was_added_to_the_records_alone_is_named(client: Client, sink: Sink) -> None:
    client.command("DROP VIEW audit_places_of_records")
    land(client, record("received", 5, record_id="forged"), first=7)
    assert named(findings(client, sink)) == {("added", 0, 7, "forged")}


def test_one_row_that_was_removed_with_its_place_is_named_by_its_offset(client: Client, sink: Sink) -> None:
    for table in ("audit_records", "audit_places"):
        changed(client, f"{table} DELETE WHERE record_id = '0-1100'")
    found = findings(client, sink)
    assert named(found) == {("chain", 0, 1024, ""), ("removed", 0, 1100, "")}
    assert "1024 to 2047" in found[0].how


def test_a_row_that_was_changed_with_its_place_breaks_the_chain(client: Client, sink: Sink) -> None:
    changed(client, "audit_records DELETE WHERE record_id = '1-1500'")
    changed(client, "audit_places DELETE WHERE record_id = '1-1500'")
    land(client, records(1)[1500].model_copy(update={"reason": "forged"}), first=1500, partition=1)
    assert named(findings(client, sink)) == {("chain", 1, 1024, "")}


def test_links_that_somebody_computed_anew_do_not_come_to_what_kafka_has(client: Client, sink: Sink) -> None:
    changed(client, "audit_places DELETE WHERE record_id = '0-1100'")
    changed(client, "audit_links DELETE WHERE `partition` = 0")
    forger = Chains(AuditTable(lambda: client))
    left = [offset for offset in range(COUNT) if offset != 1100]
    forger.extend([InsertSlice(TOPIC, 0, [one for offset, one in enumerate(records(0)) if offset != 1100], left)])
    assert ("chain", 0, 2048, "") in named(findings(client, sink))


def test_a_recreated_topic_has_chains_of_its_own(client: Client, sink: Sink) -> None:
    again = Sink(client)
    again.write(records(7, 1500), incarnation=1)
    again.ends[1], again.chains = COUNT, sink.chains
    assert {chain.incarnation for chain in chains(client, TOPIC)} == {0, 1}
    missing = absence(client, EVER, ForgottenSubjects(), ())
    assert list(compared_rows(client, TOPIC, missing, lambda _rows: None)) == []
    (newer,) = [chain for chain in chains(client, TOPIC) if chain.incarnation == 1]
    assert [one.value == BEGINNING for one in links(client, newer)] == [True, False]
    assert list(walked(client, newer, links(client, newer))) == []


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(RECORDS, min_size=1, max_size=20, unique_by=lambda one: one.record_id))
def test_the_digest_is_that_which_clickhouse_computes(client: Client, found: list[AuditRecord]) -> None:
    for table in ("audit_records", "audit_places"):
        client.command(f"TRUNCATE TABLE {table}")
    found = [*found, decided(1), record("control", 3, case_at=None)]
    land(client, *found)
    batch = InsertSlice(TOPIC, 0, found, range(len(found)))
    assert [one.digest for one in AuditTable(lambda: client).placed(batch)] == [digest(one) for one in found]
    assert AuditTable(lambda: client).placed(replace(batch, partition=1)) == []


KEPT = Retention(24, texts=3, prompts=2)
MONTHS_AGO = (36, 30, 5, 0)
BATCH = OFFSETS_PER_LINK + 20


def months_ago(months: int) -> datetime:
    return datetime.now(UTC) - months * timedelta(days=31)


def aged(client: Client) -> Sink:
    """Four batches of a partition, the first of which came long ago, and retention that has done its work."""
    sink = Sink(client)
    for number, months in enumerate(MONTHS_AGO):
        opened = {"time": months_ago(months), "case_at": months_ago(months)}
        made = [one.model_copy(update=opened) for one in records(months, BATCH)]
        if not months:  # its texts are kept for three months, but those of a question for two
            early = datetime.now(UTC) - timedelta(days=75)
            made[0] = made[0].model_copy(update={"kind": "asked", "time": early, "case_at": early})
        sink.write(made, first=number * BATCH)
        if not number:
            for table in ("audit_places", "audit_links"):
                changed(client, f"{table} UPDATE landed_at = now() - INTERVAL 36 MONTH WHERE 1")
    for alteration in (one for some in changes(client, KEPT).values() for one in some):
        client.command(alteration)
    for table in ("audit_records", "audit_places"):
        client.command(f"OPTIMIZE TABLE {table} FINAL")
    return sink


LEFT = """
SELECT (SELECT count() FROM audit_records), (SELECT countIf(detail != '') FROM audit_records),
    (SELECT count() FROM audit_places)
"""


def test_what_retention_deleted_is_not_missing_and_what_somebody_removed_is(client: Client) -> None:
    sink = aged(client)
    assert client.query(LEFT).result_rows == [(2 * BATCH, BATCH - 1, 3 * BATCH)]
    assert findings(client, sink, KEPT) == []
    assert {one.fault for one in findings(client, sink)} == {"changed", "removed", "chain"}  # to other settings

    for record_id in ("0-7", "5-8"):
        changed(client, f"audit_records DELETE WHERE record_id = '{record_id}'")
    changed(client, f"audit_places DELETE WHERE record_id = '30-{BATCH - 7}'")  # its row is gone rightly
    assert named(findings(client, sink, KEPT)) == {
        ("removed", 0, 3 * BATCH + 7, "0-7"),
        ("removed", 0, 2 * BATCH + 8, "5-8"),
        ("chain", 0, 2 * OFFSETS_PER_LINK, ""),
        ("removed", 0, 2 * BATCH - 7, ""),
    }


def test_a_row_that_claims_to_be_old_is_named(client: Client, sink: Sink) -> None:
    client.command("DROP VIEW audit_places_of_records")
    old = {"time": months_ago(30), "case_at": months_ago(30)}
    land(client, record("received", 5, record_id="forged").model_copy(update=old), first=7)
    missing = absence(client, KEPT, ForgottenSubjects(), ())
    assert [record_id for _, record_id in old_rows_without_place(client, TOPIC, missing)] == ["forged"]


def test_links_that_were_removed_from_the_beginning_are_missed(client: Client, sink: Sink) -> None:
    for table in ("audit_records", "audit_places", "audit_links"):
        changed(client, f"{table} DELETE WHERE `partition` = 0 AND `offset` < {OFFSETS_PER_LINK}")
    assert named(findings(client, sink)) == {("chain", 0, 0, "")}


def test_only_rows_that_the_tombstone_knows_are_missing_because_they_are_forgotten(client: Client, sink: Sink) -> None:
    sum(1 for _ in delete(client, "ticket-3", "d", START))
    (places,) = places_of(client).values()
    tombstone = ForgottenSubject(digest="d", key_check="", time=START, issued_by="ann")
    done = tombstone.model_copy(update={"places": places.number, "places_sha256": places.sha256})
    assert findings(client, sink, tombstones=[tombstone, done]) == []
    assert {one.fault for one in findings(client, sink, tombstones=[tombstone])} == {"removed"}  # it broke off

    changed(client, "audit_records DELETE WHERE record_id = '0-5'")
    assert named(findings(client, sink, tombstones=[done])) == {("removed", 0, 5, "0-5")}
    client.command("INSERT INTO forgotten_places SELECT topic, 0, 5, '0-5', 'd', now64(6) FROM audit_records LIMIT 1")
    found = findings(client, sink, tombstones=[done])
    assert ("removed", 0, 5, "0-5") in named(found)
    assert "does not confirm" in found[0].how
