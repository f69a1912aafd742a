"""Events are handled in their subject's partition, wherever a producer put them; any other record in a wrong partition
becomes a dead letter.
"""

from typing import Any

import pytest
from faust.types import TP

from nightdesk.messaging.partitions import partition_of
from nightdesk.messaging.producer import Headers, Message
from nightdesk.schemas.bounds import RECORD_BYTES_AT_MOST
from nightdesk.schemas.records import ApprovalReply, Decision, Event, Record
from nightdesk.schemas.reoffers import REOFFER_HEADER
from nightdesk.schemas.topics import ACT, APPROVALS, INGEST, Topic
from nightdesk.streams.api import Delivery, Route, StagedWrites
from nightdesk.streams.runtime.handling.delivery import TRACEPARENT, RawEvent
from nightdesk.streams.runtime.handling.guard import Guard
from nightdesk.streams.runtime.handling.parking import Parking
from nightdesk.streams.runtime.handling.repartitioning import FORWARDS_AT_MOST, ORIGIN_HEADER, STORED_HEADER
from nightdesk.streams.runtime.policy import WorkerPolicy
from tests.schemas.samples import SAMPLES
from tests.streams.fault_injection.conversation import local_codec
from tests.streams.runtime.arrivals import STORED_AT, arrival, handled
from tests.streams.runtime.memory import table

CODEC = local_codec()
PARTITIONS = 4
[DECISION] = [sample for sample in SAMPLES if isinstance(sample, Decision)]
[REPLY] = [sample for sample in SAMPLES if isinstance(sample, ApprovalReply)]
[EVENT] = [sample for sample in SAMPLES if isinstance(sample, Event)]
VALUE, KEY = CODEC.encode(EVENT), EVENT.subject.encode()
HOME = partition_of(KEY, PARTITIONS)
ELSEWHERE = (HOME + 1) % PARTITIONS
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Stage:
    """A guard whose handler stores what it was given. `parks`: a dead letter blocks its key."""

    def __init__(self, topic: Topic = INGEST, *, parks: bool = False) -> None:
        self.topic = topic
        self.taken: list[Delivery[Any]] = []
        policy = WorkerPolicy({}, "t.", PARTITIONS, "w0")
        parking = Parking(table("parked"), CODEC, policy.clock) if parks else None
        self.guard = Guard("x", (Route(topic, self._take, _queue_of if parks else None),), CODEC, policy, parking)

    def _take(self, delivery: Delivery[Any], writes: StagedWrites) -> None:
        self.taken.append(delivery)

    def came(self, partition: int, value: bytes, key: bytes | None = b"any", headers: Headers = ()) -> list[Message]:
        """The result of a record."""
        came = arrival(TP(f"t.{self.topic.name}", partition), 17, key, value, headers)
        return handled(self.guard, came).messages


def _queue_of(record: Record | None, key: bytes | None) -> str | None:
    return key.decode() if record is None and key else None


def _again(message: Message, offset: int) -> RawEvent:
    return arrival(TP(message.topic, message.partition), offset, message.key, message.value, message.headers)


def test_an_event_is_handled_in_the_partition_of_its_subject_whatever_its_kafka_key() -> None:
    for key in (None, b"", b"another"):
        stage = Stage()
        assert stage.came(HOME, VALUE, key) == []
        assert [(delivery.partition, delivery.place) for delivery in stage.taken] == [(HOME, f"{HOME}:17")]


def test_an_event_elsewhere_is_sent_home_whole_and_nothing_else_comes_of_it() -> None:
    stage = Stage()
    headers: Headers = (("x-own", b"\xff"), (TRACEPARENT, TRACE))
    [message] = stage.came(ELSEWHERE, VALUE, b"another", headers)
    assert stage.taken == []
    assert (message.topic, message.partition, message.key, message.value) == ("t.ingest", HOME, KEY, VALUE)
    stored = (STORED_HEADER, b"%d" % (STORED_AT.timestamp() * 1000))
    assert message.headers == (*headers, (ORIGIN_HEADER, f"{ELSEWHERE}:17".encode()), stored)


def test_a_forward_that_is_made_twice_is_one_delivery_with_one_trace() -> None:
    stage = Stage()
    for offset in (3, 4):
        [message] = stage.came(ELSEWHERE, VALUE)
        assert handled(stage.guard, _again(message, offset)).messages == []
    first, again = stage.taken
    assert (first.place, first.traceparent) == (again.place, again.traceparent)


def test_a_forwarded_event_is_as_old_as_at_its_first_place_unless_a_person_sends_it_again() -> None:
    stage, first = Stage(), arrival(TP("t.ingest", ELSEWHERE), 17, b"any", VALUE)
    [message] = handled(stage.guard, first).messages
    later = _again(message, 3)._replace(timestamp=first.timestamp + 3600)
    offered = later._replace(headers=(*later.headers, (REOFFER_HEADER, b"*")))
    younger = later._replace(headers=((STORED_HEADER, b"%d" % (later.timestamp * 1000 + 1)),))
    unknown = later._replace(is_broker_time=False)
    for event in (later, offered, younger, unknown):
        handled(stage.guard, event)
    assert [delivery.stored_at for delivery in stage.taken] == [
        first.stored_at,
        later.stored_at,
        later.stored_at,
        None,
    ]


def test_a_made_up_origin_names_a_record_with_the_same_bytes_and_no_other() -> None:
    stage, forged = Stage(), ((ORIGIN_HEADER, f"{ELSEWHERE}:17".encode()),)
    [message] = stage.came(ELSEWHERE, VALUE)
    handled(stage.guard, _again(message, 3))
    stage.came(HOME, CODEC.encode(EVENT.model_copy(update={"data": "1"})), KEY, forged)
    stage.came(HOME, VALUE, KEY, ((ORIGIN_HEADER, b"no place"),))
    genuine, forgery, malformed = (delivery.place for delivery in stage.taken)
    assert forgery not in (genuine, f"{ELSEWHERE}:17")
    assert malformed == f"{HOME}:17"


def test_an_event_is_never_forwarded_for_ever() -> None:
    stage = Stage()
    headers = ((ORIGIN_HEADER, b"0:1"),) * FORWARDS_AT_MOST
    assert [message.topic for message in stage.came(ELSEWHERE, VALUE, KEY, headers)] == ["t.ingest.dlq", "t.audit"]
    assert [message.topic for message in stage.came(ELSEWHERE, VALUE, KEY, headers[1:])] == ["t.ingest"]


def test_a_record_that_is_too_large_to_forward_is_a_dead_letter() -> None:
    """An event within its bounds always has room; a larger one may have to stay where its key's partition is."""
    stage, value = Stage(parks=True), bytes(RECORD_BYTES_AT_MOST - len(KEY))
    assert [message.topic for message in stage.came(ELSEWHERE, value, KEY)] == ["t.ingest"]
    assert [message.topic for message in stage.came(ELSEWHERE, value + b"y", KEY)] == ["t.ingest.dlq", "t.audit"]


@pytest.mark.parametrize("parks", [False, True])
def test_what_cannot_be_read_is_forwarded_by_its_key_if_others_have_to_wait_for_it(parks: bool) -> None:
    stage = Stage(parks=parks)
    topics = [message.topic for message in stage.came(ELSEWHERE, b"unreadable", KEY)]
    assert topics == (["t.ingest"] if parks else ["t.ingest.dlq", "t.audit"])
    for key in (None, b""):
        assert len(stage.came(ELSEWHERE, b"unreadable", key)) == 2
    assert len(stage.came(HOME, b"unreadable", KEY)) == 2


@pytest.mark.parametrize(("topic", "record"), [(ACT, DECISION), (APPROVALS, REPLY)])
def test_a_record_of_ours_is_taken_in_its_home_and_under_its_own_key_alone(topic: Topic, record: Record) -> None:
    stage, value = Stage(topic), CODEC.encode(record)
    key = str(getattr(record, topic.key)).encode()
    dead_lettered = [stage.came(number, value, key) for number in range(PARTITIONS)]
    assert sum(map(bool, dead_lettered)) == PARTITIONS - 1
    [taken] = stage.taken
    assert taken.partition == partition_of(key, PARTITIONS)
    for other in (None, b"", b"another", key + b"\x00"):
        assert [message.topic for message in stage.came(taken.partition, value, other)] == [f"t.{topic.dlq}", "t.audit"]
    assert stage.taken == [taken]
