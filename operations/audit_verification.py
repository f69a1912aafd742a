"""Verifies that ClickHouse has the audit as the topic has it and as the sink wrote it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Message, TopicPartition

from nightdesk.messaging.broker_answers import broker_answers
from nightdesk.messaging.failures import Failure
from nightdesk.messaging.log_identity import Log
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.topic_reader import read_range
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.installation import Installation
from nightdesk.operations.progress import Begin
from nightdesk.operations.sink_offsets import audit_log, first_offsets, sink_places, sink_reader
from nightdesk.operations.tombstones import forgotten_subjects, read_tombstones
from nightdesk.schemas.codec import Codec, RegistryUnavailable, Undecodable
from nightdesk.schemas.records import AuditRecord, ForgottenSubject
from nightdesk.sinks.audit.chain import BEGINNING, Head
from nightdesk.sinks.verification.absence import Absence, absence
from nightdesk.sinks.verification.chains import Chain, behind, chains, links, walked, whole, without_beginning
from nightdesk.sinks.verification.facts import FACTS, FactFinding, compared_facts
from nightdesk.sinks.verification.findings import Finding, Place
from nightdesk.sinks.verification.rows import compared_rows, old_rows_without_place
from nightdesk.sinks.verification.topic import (
    TopicRecord,
    Total,
    compared_records,
    latest_incarnation,
    total,
)

ANSWER_WITHIN_S = 30.0
RECORDS_AT_ONCE = 5000
NO_LINKS = "Kafka has a value of the hash chain, but ClickHouse has no link of that chain"
NO_PLACE = "the sink wrote no such record there, and the row is older than rows are kept"
STORED_ROWS = "SELECT count() FROM audit_records"


@dataclass(slots=True)
class PartitionVerification:
    """One partition of the topic. `first` is the offset at which the topic begins, `end` the one that the sink has
    committed; `chain_from` is where the chain begins, None if there is none.
    """

    partition: int
    first: int
    end: int
    head: str = ""
    topic: Total = field(default_factory=Total)
    clickhouse: Total = field(default_factory=Total)
    chain_from: int | None = None


@dataclass(frozen=True, slots=True)
class AuditVerification:
    """What was compared, every row that is not as it was written, and every fact that is not what the rows say."""

    rows: int
    partitions: tuple[PartitionVerification, ...]
    findings: tuple[Finding, ...]
    facts: tuple[FactFinding, ...]


def verify_audit(installation: Installation, progress: Begin) -> AuditVerification:
    """Compare rows with places, places with the hash chains, both with what the topic still has, and facts with rows.
    Raises `Failure`.

    What the sink has not committed is not compared.
    """
    kafka = installation.kafka
    consumer = sink_reader(kafka)
    try:
        with (
            broker_answers(kafka),
            registered_codec(installation, AuditRecord, ForgottenSubject) as codec,
            clickhouse(installation.clickhouse) as client,
        ):
            missing = _absence(installation, client, codec)
            return _Verification(client, consumer, codec, audit_log(kafka), missing).run(progress)
    finally:
        consumer.close()


def _absence(installation: Installation, client: Client, codec: Codec) -> Absence:
    """What may be missing. Raises `Failure` if a subject is forgotten and the settings have another key or none."""
    tombstones = read_tombstones(installation, codec)
    subjects = forgotten_subjects(installation, tombstones)
    return absence(client, installation.clickhouse.retention, subjects, tombstones)


class _Verification:
    """One run. Each step yields its findings."""

    def __init__(self, client: Client, consumer: Consumer, codec: Codec, log: Log, absence: Absence) -> None:
        self._client = client
        self._consumer = consumer
        self._codec = codec
        self._log = log
        self._topic = log.topic
        self._absence = absence
        self._whole_from: dict[Chain, int] = {}
        self._incarnation = latest_incarnation(client, log.topic)
        self._partitions = {one.partition: one for one in self._read_partitions()}

    def run(self, progress: Begin) -> AuditVerification:
        rows = int(self._client.query(STORED_ROWS).result_rows[0][0])
        found = list(compared_rows(self._client, self._topic, self._absence, progress("rows", rows)))
        found += self._walked(progress)
        found += self._old_rows()
        found += self._compared_with_topic(progress)
        named = dict.fromkeys(found)  # two comparisons may name one row
        facts = tuple(self._compared_facts(progress))
        return AuditVerification(rows, tuple(self._partitions.values()), tuple(named), facts)

    def _read_partitions(self) -> Iterator[PartitionVerification]:
        firsts = first_offsets(self._consumer, self._topic)
        for place in sink_places(self._consumer, self._log, firsts):
            first = dict(firsts)[place.partition]
            yield PartitionVerification(place.partition, first, place.offset, place.chain)

    def _watermarks(self, partition: int) -> tuple[int, int]:
        place = TopicPartition(self._topic, partition)
        first, end = self._consumer.get_watermark_offsets(place, timeout=ANSWER_WITHIN_S, cached=False)
        return first, end

    def _walked(self, progress: Begin) -> Iterator[Finding]:
        found = chains(self._client, self._topic)
        with_head = {one.partition for one in self._partitions.values() if len(one.head) == len(BEGINNING)}
        latest = {chain.partition for chain in found if chain.incarnation == self._incarnation}
        for partition in sorted(with_head - latest):
            yield Finding("chain", Place(self._incarnation, partition, 0), "", NO_LINKS)
        advance = progress("chains", len(found))
        for chain in found:
            yield from self._walked_chain(chain)
            advance(1)

    def _walked_chain(self, chain: Chain) -> Iterator[Finding]:
        stored = links(self._client, chain)
        yield from without_beginning(chain, stored)
        own = self._partitions.get(chain.partition) if chain.incarnation == self._incarnation else None
        if own is not None:
            own.chain_from = stored[0].offset
            if len(own.head) == len(BEGINNING):
                # A link behind the committed offset belongs to records that the sink has written and not committed yet.
                stored = [*(link for link in stored if link.offset <= own.end), Head(own.end, own.head)]
        stored = whole(self._client, chain, stored, self._absence)
        if stored:
            self._whole_from[chain] = stored[0].offset
        yield from walked(self._client, chain, stored)
        if own is not None:
            late = list(behind(self._client, chain, own.end))
            _, end = self._watermarks(chain.partition)
            yield from (one for one in late if one.place.offset >= end)

    def _old_rows(self) -> Iterator[Finding]:
        for place, record_id in old_rows_without_place(self._client, self._topic, self._absence):
            from_ = self._whole_from.get(Chain(self._topic, place.incarnation, place.partition))
            if from_ is not None and place.offset >= from_:
                yield Finding("added", place, record_id, NO_PLACE)

    def _compared_with_topic(self, progress: Begin) -> Iterator[Finding]:
        advance = progress("topic", sum(one.end - one.first for one in self._partitions.values()))
        starts = {(self._topic, one.partition): one.first for one in self._partitions.values()}
        ends = {(self._topic, one.partition): one.end for one in self._partitions.values()}
        batches: dict[int, list[TopicRecord]] = defaultdict(list)
        for message in read_range(self._consumer, starts, ends, ANSWER_WITHIN_S):
            batch = batches[partition := message.partition() or 0]
            batch.append(TopicRecord(message.offset() or 0, self._record(message)))
            if len(batch) >= RECORDS_AT_ONCE:
                yield from self._compared(partition, batches.pop(partition))
                advance(len(batch))
        for partition, batch in batches.items():
            yield from self._compared(partition, batch)
            advance(len(batch))
        for one in self._partitions.values():
            place = Place(self._incarnation, one.partition, one.first)
            one.clickhouse = total(self._client, self._topic, place, one.end)

    def _compared_facts(self, progress: Begin) -> Iterator[FactFinding]:
        ends = {one.partition: one.end for one in self._partitions.values()}
        return compared_facts(self._client, self._absence, self._incarnation, ends, progress("tables", len(FACTS)))

    def _compared(self, partition: int, batch: list[TopicRecord]) -> list[Finding]:
        place = Place(self._incarnation, partition, batch[0].offset)
        found, own = compared_records(self._client, self._topic, place, batch, self._absence.subjects)
        self._partitions[partition].topic = self._partitions[partition].topic.plus(own)
        return found

    def _record(self, message: Message) -> AuditRecord | None:
        try:
            return self._codec.decode(AuditRecord, message.value())
        except Undecodable:
            return None
        except RegistryUnavailable as error:
            raise Failure(str(error)) from error
