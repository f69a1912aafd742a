"""`nightdesk events reoffer`: what made no case is read at its place in the log and offered again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from nightdesk.messaging.consumed import headers_of
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations.reoffers import READ_THROUGH_RECORDS, _ranges
from nightdesk.schemas import audit_records
from nightdesk.schemas.records import AuditRecord, Event
from nightdesk.schemas.reoffers import REOFFER_HEADER, offered_to
from nightdesk.schemas.topics import AUDIT, INGEST
from nightdesk.settings import Settings
from nightdesk.streams.api import Delivery
from tests.nightdesk.command_line import CommandLine
from tests.nightdesk.letters import event, everything
from tests.sinks.records import land

PARTITION = 2
TRACE = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)
REPAIRED = ("events", "reoffer", "--since", "1h", "--reason", "schema repaired")


def _untaken(kind: str, one: Event, offset: int, agent: str | None = None) -> AuditRecord:
    place = Delivery(one, INGEST, PARTITION, offset, "")
    return audit_records.no_case(one, kind, f"{kind} of {one.id}", place, "", datetime.now(UTC), agent)


@pytest.fixture
def log(topics: Settings, client: Client) -> list[Event]:
    """Four events in the log: an agent rejected two, nobody took one, and one was taken."""
    events = [event(number) for number in range(4)]
    producer = Producer(topics.kafka.client_config())
    name = topics.kafka.topic_prefix + INGEST.name
    with registered_codec(topics) as codec:
        for one in events:
            value = codec.encode(one)
            producer.produce(name, value, one.subject.encode(), partition=PARTITION, headers=list(TRACE))
    assert producer.flush(30) == 0
    taken = _untaken("rejected", events[3], 3, "desk").model_copy(update={"record_id": "taken", "kind": "received"})
    land(
        client,
        _untaken("rejected", events[0], 0, "desk"),
        _untaken("rejected", events[1], 1, "other"),
        _untaken("ignored", events[2], 2),
        _untaken("rejected", events[3], 3, "desk"),
        taken,
    )
    return events


def _offered(topics: Settings) -> list[tuple[str, str]]:
    with registered_codec(topics) as codec:
        found = [(codec.decode(Event, one.value()).id, one) for one in everything(topics, INGEST.name)]
    assert all(one.partition() == PARTITION for _, one in found)
    return [(id_, offered_to(headers_of(one))) for id_, one in found if REOFFER_HEADER in dict(headers_of(one))]


def test_what_made_no_case_is_offered_again_to_whom_it_is_for(
    nightdesk: CommandLine, topics: Settings, log: list[Event]
) -> None:
    would = nightdesk(*REPAIRED, "--dry-run")
    assert "3 would be offered again, 0 are gone" in would.out
    assert _offered(topics) == []
    done = nightdesk(*REPAIRED, "-o", "json").json()
    assert [one["event_id"] for one in done["events"]] == ["evt-0", "evt-1", "evt-2"]
    assert (done["gone"], done["dry_run"]) == ([], False)
    assert _offered(topics) == [("evt-0", "desk"), ("evt-1", "other"), ("evt-2", "*")]
    again = everything(topics, INGEST.name)
    assert [one.value() for one in again[4:]] == [one.value() for one in again[:3]]
    assert headers_of(again[4])[: len(TRACE)] == TRACE
    with registered_codec(topics) as codec:
        lines = [codec.decode(AuditRecord, one.value()) for one in everything(topics, AUDIT.name)]
    assert sorted(line.event_id for line in lines if line.kind == "reoffered") == ["evt-0", "evt-1", "evt-2"]
    assert all(line.reason.endswith(": schema repaired") for line in lines)


def test_an_agents_events_are_offered_to_this_agent_alone(
    nightdesk: CommandLine, topics: Settings, log: list[Event]
) -> None:
    assert nightdesk(*REPAIRED, "--agent", "desk").code == 0
    assert _offered(topics) == [("evt-0", "desk"), ("evt-2", "desk")]


def test_what_the_log_has_deleted_is_named(
    nightdesk: CommandLine, topics: Settings, log: list[Event], client: Client
) -> None:
    name = topics.kafka.topic_prefix + INGEST.name
    admin = AdminClient(topics.kafka.client_config())
    for future in admin.delete_records([TopicPartition(name, PARTITION, 1)]).values():
        future.result(30)
    another = event(1).model_copy(update={"id": "evt-9"})
    land(client, _untaken("rejected", another, 1, "desk"), first=50)  # a topic that was created anew has another there
    done = nightdesk(*REPAIRED, "-o", "json")
    assert done.code == 3
    assert [one["event_id"] for one in done.json()["events"]] == ["evt-1", "evt-2"]
    assert sorted(one["event_id"] for one in done.json()["gone"]) == ["evt-0", "evt-9"]
    assert "2 events were not offered again: no longer in the log" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--status", "completed"), 2, "there is no status completed"),
        (("--status", ","), 2, "no status is given"),
        (("--since", "soon"), 2, "is no time"),
        (("--type", "parcel.lost"), 3, "there are no such events"),
    ],
)
def test_what_cannot_be_offered_is_said(
    nightdesk: CommandLine, log: list[Event], arguments: tuple[str, str], code: int, says: str
) -> None:
    done = nightdesk("events", "reoffer", *arguments)
    assert (done.code, says in done.err) == (code, True)


@pytest.mark.parametrize(
    ("offsets", "ranges"),
    [
        ([], []),
        ([0], [(0, 1)]),
        ([3, 4, 9], [(3, 10)]),
        ([0, READ_THROUGH_RECORDS, 2 * READ_THROUGH_RECORDS + 1], [(0, READ_THROUGH_RECORDS + 1), (2001, 2002)]),
    ],
)
def test_places_that_are_near_are_read_in_one_pass(offsets: list[int], ranges: list[tuple[int, int]]) -> None:
    assert list(_ranges(offsets)) == ranges
