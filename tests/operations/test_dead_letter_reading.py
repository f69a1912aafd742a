"""Letters are found where they lie, whatever else lies beside them."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.operations.dead_letters.contents import Finder
from nightdesk.operations.dead_letters.reading import open_letters, read_contents, read_letters
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.dead_letters import CONTEXT_HEADER, END_HEADER, RELEASE_HEADER
from nightdesk.schemas.records import DeadLetterEnd
from nightdesk.schemas.topics import INGEST
from nightdesk.settings import Settings
from tests.nightdesk.letters import START, DlqWriter


@pytest.fixture
def codec(small_settings: Settings) -> Iterator[Codec]:
    with registered_codec(small_settings) as codec:
        yield codec


@pytest.fixture
def send_to_dlq(small_settings: Settings, codec: Codec) -> DlqWriter:
    return DlqWriter(small_settings, codec)


def test_each_letter_has_its_place_and_its_own_bytes(
    small_settings: Settings, codec: Codec, send_to_dlq: DlqWriter
) -> None:
    kafka = small_settings.kafka
    values = {send_to_dlq(f"refused {number}".encode(), f"t-{number}".encode()): number for number in range(12)}
    name = kafka.topic_prefix + INGEST.dlq
    lie = {(name, message.partition(), message.offset()) for message in read_topic(kafka, name)}
    assert {0, 1} <= {offset for _, _, offset in lie}
    assert len({partition for _, partition, _ in lie}) > 1
    found = read_letters(kafka, codec)
    assert [letter.about.dead_letter_id for letter in found.letters] == list(values)
    assert {letter.place for letter in found.letters} == lie
    contents = {letter: of.shown.value for letter, of in read_contents(Finder(kafka, None), found.letters[3:])}
    assert {letter.about.dead_letter_id: value for letter, value in contents.items()} == {
        letter_id: f"refused {number}".encode() for letter_id, number in values.items() if number >= 3
    }


def test_an_ended_letter_is_not_open_and_a_stranger_is_counted(
    small_settings: Settings, codec: Codec, send_to_dlq: DlqWriter
) -> None:
    letter_id, left = send_to_dlq.event(1), send_to_dlq.event(2)
    end = DeadLetterEnd(dead_letter_id=letter_id, verdict="discarded", person="ada", time=START)
    producer = Producer(small_settings.kafka.client_config())
    name = small_settings.kafka.topic_prefix + INGEST.dlq
    producer.produce(name, headers=[(END_HEADER, codec.encode(end))])
    producer.produce(name, b"a stranger's")
    producer.produce(name, headers=[(END_HEADER, b"no record")])
    assert producer.flush(30) == 0
    found = read_letters(small_settings.kafka, codec, INGEST.name)
    states = {letter.about.dead_letter_id: letter.state for letter in found.letters}
    assert states == {letter_id: "discarded", left: "open"}
    assert found.strangers == 2
    assert [letter.about.dead_letter_id for letter in open_letters(small_settings.kafka, codec)] == [left]


def test_only_a_letter_that_blocks_its_subject_has_a_token(
    small_settings: Settings, codec: Codec, send_to_dlq: DlqWriter
) -> None:
    """The original record can have a header of that name, which is a stranger's."""
    forged = send_to_dlq(b"refused", headers=((RELEASE_HEADER, b"forged"),))
    first = read_letters(small_settings.kafka, codec).letters[0]
    blocking = first.about.model_copy(update={"dead_letter_id": "blocking", "parks": True})
    producer = Producer(small_settings.kafka.client_config())
    name = small_settings.kafka.topic_prefix + INGEST.dlq
    producer.produce(name, headers=[(CONTEXT_HEADER, codec.encode(blocking)), (RELEASE_HEADER, b"token")])
    assert producer.flush(30) == 0
    tokens = {letter.about.dead_letter_id: letter.release_token for letter in open_letters(small_settings.kafka, codec)}
    assert tokens == {forged: b"", "blocking": b"token"}
