"""Offers events without a case again: rejected, ignored, or refused by the limit of their subject.

The audit names the place of each on the ingest topic. The record is read there and produced again, unchanged except for
a header that names the agent it is for. An agent that has taken the event meanwhile does not take it again, so a
command that died can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby, islice

from confluent_kafka import Consumer, Message, TopicPartition

from nightdesk.messaging import producer
from nightdesk.messaging.blocking_producer import BlockingProducer
from nightdesk.messaging.broker_answers import broker_answers
from nightdesk.messaging.clients import QUIET, new_reader
from nightdesk.messaging.consumed import original_of
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.messaging.topic_reader import ANSWER_WITHIN_S, READER, read_range
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.installation import Installation
from nightdesk.operations.persons import claimed_name
from nightdesk.schemas import audit_records
from nightdesk.schemas.codec import Codec, Undecodable
from nightdesk.schemas.dead_letters import Original
from nightdesk.schemas.records import AuditRecord, Event
from nightdesk.schemas.reoffers import EVERY_AGENT, REOFFER_HEADER, reoffer_header
from nightdesk.schemas.topics import AUDIT, INGEST
from nightdesk.sinks.untaken import UNTAKEN_STATUSES, UntakenEvent, UntakenStatus, untaken_events

# Offsets that are no further apart are read in one pass.
READ_THROUGH_RECORDS = 1000
EVENTS_AT_ONCE = 500

GONE = "no longer in the log: the retention of the ingest topic deleted it, or the topic was deleted and created again"


@dataclass(frozen=True, slots=True)
class ReofferFilter:
    """A filter for events; an empty field matches all."""

    since: datetime
    statuses: tuple[UntakenStatus, ...]
    agent: str = ""
    event_type: str = ""


@dataclass(frozen=True, slots=True)
class Reoffered:
    """The events that were offered again, or would be in a dry run, and those that are not in the log any more."""

    events: tuple[UntakenEvent, ...]
    gone: tuple[UntakenEvent, ...]

    def check_none_gone(self) -> None:
        """Raises `Failure` if an event is not in the log any more."""
        if self.gone:
            remedy = "Send them again from their source, for example with `nightdesk produce`"
            raise Failure(f"{len(self.gone)} events were not offered again: {GONE}", remedy, FailureKind.NOT_FOUND)


def parse_untaken_statuses(text: str) -> tuple[UntakenStatus, ...]:
    """A list of statuses, separated by commas. Raises `Failure` for an unknown one."""
    wanted = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [status for status in wanted if status not in UNTAKEN_STATUSES]
    if unknown or not wanted:
        problem = f"there is no status {', '.join(unknown)}" if unknown else "no status is given"
        raise Failure(problem, f"They are {', '.join(UNTAKEN_STATUSES)}", FailureKind.INVALID)
    return tuple(status for status in UNTAKEN_STATUSES if status in wanted)


def reoffer_events(
    installation: Installation, chosen: ReofferFilter, reason: str, now: datetime, *, dry_run: bool = False
) -> Reoffered:
    """Offer the selected events again, in the order of the log. Raises `Failure`, also if none is selected."""
    with clickhouse(installation.clickhouse) as client:
        events = untaken_events(client, chosen.since, chosen.statuses, chosen.agent, chosen.event_type)
    if not events:
        raise Failure(
            "there are no such events since then, or agents took them",
            "See `nightdesk cases list --status rejected`",
            FailureKind.NOT_FOUND,
        )
    if chosen.agent:
        events = [replace(event, agent=event.agent or chosen.agent) for event in events]
    found: list[UntakenEvent] = []
    with registered_codec(installation, Event, AuditRecord) as codec:
        offer = _Offer(installation.kafka.topic_prefix, codec, reason, now)
        sender = None if dry_run else BlockingProducer.of(installation.kafka)
        originals = _read(installation.kafka, codec, events)
        while batch := list(islice(originals, EVENTS_AT_ONCE)):
            found += [event for event, _ in batch]
            if sender is not None:
                sender.deliver(offer.event(event, original) for event, original in batch)
                sender.deliver(offer.audit(event) for event, _ in batch)
    return Reoffered(tuple(found), tuple(event for event in events if event not in set(found)))


@dataclass(frozen=True, slots=True)
class _Offer:
    """The records that offer an event again: first the event, then its audit record."""

    topic_prefix: str
    codec: Codec
    reason: str
    now: datetime

    def event(self, event: UntakenEvent, original: Original) -> producer.Message:
        kept = tuple(header for header in original.headers if header[0] != REOFFER_HEADER)
        headers = (*kept, reoffer_header(event.agent or EVERY_AGENT))
        return producer.Message(self.topic_prefix + INGEST.name, original.key, original.value, headers, event.partition)

    def audit(self, event: UntakenEvent) -> producer.Message:
        record = audit_records.reoffered(event, claimed_name(), self.reason, self.now)
        return producer.Message(self.topic_prefix + AUDIT.name, record.subject.encode(), self.codec.encode(record))


def _read(
    kafka: KafkaSettings, codec: Codec, events: Sequence[UntakenEvent]
) -> Iterator[tuple[UntakenEvent, Original]]:
    """The events that are still in the log, with their records. `events` are in the order of the log."""
    consumer = new_reader({**kafka.client_config(), **QUIET}, READER, {"auto.offset.reset": "error"})
    topic = kafka.topic_prefix + INGEST.name
    try:
        with broker_answers(kafka):
            for partition, those in groupby(events, key=lambda event: event.partition):
                wanted: dict[int, list[UntakenEvent]] = {}
                for event in those:
                    wanted.setdefault(event.offset, []).append(event)
                for message in _messages(consumer, topic, partition, wanted):
                    yield from _matching(codec, message, wanted[message.offset() or 0])
    finally:
        consumer.close()


def _messages(consumer: Consumer, topic: str, partition: int, wanted: Mapping[int, object]) -> Iterator[Message]:
    first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), ANSWER_WITHIN_S)
    place = (topic, partition)
    for start, stop in _ranges(offset for offset in wanted if first <= offset < end):
        for message in read_range(consumer, {place: start}, {place: stop}, ANSWER_WITHIN_S):
            if message.offset() in wanted:
                yield message


def _ranges(offsets: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Ranges (start, offset after the last) that contain these offsets, which are in order."""
    start = last = -1
    for offset in offsets:
        if start >= 0 and offset - last > READ_THROUGH_RECORDS:
            yield start, last + 1
            start = -1
        start, last = (offset if start < 0 else start), offset
    if start >= 0:
        yield start, last + 1


def _matching(
    codec: Codec, message: Message, events: Iterable[UntakenEvent]
) -> Iterator[tuple[UntakenEvent, Original]]:
    """The events whose record matches, because a topic that was recreated has other records at the same offsets."""
    original = original_of(message)
    try:
        record = codec.decode(Event, original.value)
    except Undecodable:
        return
    for event in events:
        if (event.event_source, event.event_id, event.subject) == (record.source, record.id, record.subject):
            yield event, original
