"""The whole corpus through every stage and the sink on a real broker, between valid events: one pipeline, one run.

Each record ends as expected, the valid events before and behind it are handled to their end, nothing has lag, and no
process ever ends.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Message, Producer

from nightdesk.local.progress import Silent
from nightdesk.local.stack import LocalStack
from nightdesk.local.stages import stage_parts
from nightdesk.local.supervisor import Supervisor
from nightdesk.messaging.partitions import partition_of
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.unpacking import UNPACKED_BYTES_AT_MOST, Compression
from nightdesk.operations.charters import load_charter
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.dead_letters.reading import read_letters
from nightdesk.operations.migrations import migrate_database
from nightdesk.operations.orders import charter_orders, give_orders
from nightdesk.operations.schemas import register_schemas
from nightdesk.operations.stage_status import stage_status
from nightdesk.operations.topics import apply_topics
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.dead_letters import Headers
from nightdesk.schemas.topics import INGEST, TOPICS, Topic
from nightdesk.settings import Settings
from tests.hostile.batches import Raw, batch, send
from tests.hostile.corpus import EVENT, HostileRecord, event, records

CHARTER = Path(__file__).parent / "charters" / "noter"
PATIENCE_S = 240.0
# Topics where records of others end as dead letters; the others have followers that pass over what they cannot read.
LANES = [topic for topic in TOPICS if topic.dead_letters and topic is not INGEST]


@dataclass
class Deaths(Silent):
    """What a supervisor reports of processes that ended."""

    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        if "starting it again" in line:
            self.lines.append(line)


@dataclass(frozen=True)
class Pipeline:
    """Every stage and the sink, with topics and a database of their own."""

    settings: Settings
    codec: Codec
    stages: Supervisor
    deaths: Deaths

    def topic(self, topic: Topic) -> str:
        return self.settings.kafka.topic_prefix + topic.name

    def wait(self, done: Callable[[], bool], what: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            self.stages.check()
            assert not self.deaths.lines, self.deaths.lines
            assert time.monotonic() < deadline, what()
            time.sleep(0.5)

    def lag(self) -> dict[str, int]:
        return {name: stage.lag for name, stage in stage_status(self.settings.kafka).items() if stage.lag}

    def completed(self, events: set[str]) -> set[str]:
        """Which of these events are decided, according to the audit in ClickHouse."""
        with clickhouse(self.settings.clickhouse) as client:
            found = client.query("SELECT DISTINCT event_id FROM records WHERE kind = 'decided'")
        return {row[0] for row in found.result_rows} & events


@pytest.fixture(scope="module")
def pipeline(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    prefix = f"hostile-{uuid.uuid4().hex[:8]}."
    url = f"{stack.settings.clickhouse.url.rpartition('/')[0]}/{prefix.strip('.').replace('-', '_')}"
    kafka = stack.settings.kafka.model_copy(update={"topic_prefix": prefix})
    settings = stack.settings.model_copy(
        update={"kafka": kafka, "clickhouse": stack.settings.clickhouse.model_copy(update={"url": url})}
    )
    apply_topics(settings.kafka)
    register_schemas(settings)
    migrate_database(settings.clickhouse)
    give_orders(settings, charter_orders([load_charter(CHARTER)]))
    environment = {
        "NIGHTDESK_KAFKA__TOPIC_PREFIX": prefix,
        "NIGHTDESK_CLICKHOUSE__URL": url,
        "NIGHTDESK_CONNECTIONS__ACTIONS__BASE_URL": "http://127.0.0.1:9",  # a dry run builds requests and sends none
        "NIGHTDESK_CONNECTIONS__ACTIONS__ALLOW_PRIVATE": "true",
    }
    parts = [replace(part, environment={**part.environment, **environment}) for part in stage_parts(stack)]
    deaths = Deaths()
    with (
        registered_codec(settings) as codec,
        Supervisor(tmp_path_factory.mktemp("logs"), stack.environment(), deaths) as stages,
    ):
        stages.start(*parts)
        yield Pipeline(settings, codec, stages, deaths)


class Sender:
    """A stock client that is configured to send everything that its broker accepts."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._producer = Producer(
            {
                **pipeline.settings.kafka.client_config(),
                "partitioner": "murmur2_random",
                "message.max.bytes": 20_000_000,
                "compression.type": "zstd",
                "linger.ms": 0,
            }
        )
        self.good: list[str] = []
        self._refused: list[str] = []

    def send(self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers, partition: int = -1) -> bool:
        """Returns whether the broker accepted it."""
        self._refused.clear()

        def on_delivery(error: object, _message: Message) -> None:
            if error is not None:
                self._refused.append(str(error))

        try:
            self._producer.produce(
                self._pipeline.topic(topic),
                value,
                key,
                headers=list(headers),
                partition=partition,
                on_delivery=on_delivery,
            )
        except KafkaException:
            return False
        assert self._producer.flush(60) == 0
        return not self._refused

    def good_event(self, partition: int) -> None:
        """An event in its own partition."""
        partitions = self._pipeline.settings.kafka.partitions
        numbers = range(10_000)
        subjects = (f"good-{len(self.good)}-{number}" for number in numbers)
        subject = next(one for one in subjects if partition_of(one.encode(), partitions) == partition)
        made = event(subject, id=subject, time=datetime.now(UTC))
        assert self.send(INGEST, subject.encode(), self._pipeline.codec.encode(made), ())
        self.good.append(subject)


def hostile_batches() -> list[bytes]:
    """What no client sends; each is one dead letter, or a record whose only fault is the name of a header."""
    bomb = [Raw(value=bytes(UNPACKED_BYTES_AT_MOST + 1))]
    return [
        batch([Raw(b"bad-name", b"unreadable", ((b"\xff\xfe", b"v"),))]),
        *(batch(bomb, compression) for compression in (Compression.GZIP, Compression.LZ4, Compression.ZSTD)),
        batch([Raw(b"many-headers", b"unreadable", ((b"", None),) * 100_000)], Compression.ZSTD),
        batch([Raw(b"NUL", b"unreadable", ((b"a\x00b", b"v"),))]),
    ]


def produce_corpus(pipeline: Pipeline, sender: Sender) -> list[HostileRecord]:
    """Produce every record with a valid event before and behind it in its partition; returns those that the broker
    accepted.
    """
    taken = []
    for record in records(pipeline.codec):
        partition = partition_of(record.key or b"", pipeline.settings.kafka.partitions)
        sender.good_event(partition)
        if sender.send(INGEST, record.key, record.value, record.headers, partition):
            taken.append(record)
        sender.good_event(partition)
    return taken


async def produce_batches(pipeline: Pipeline, topics: list[Topic]) -> Counter[str]:
    """Produce hostile batches to partition 0 of each topic; returns how many of them each topic accepted."""
    servers, taken = pipeline.settings.kafka.bootstrap_servers, Counter[str]()
    for topic in topics:
        offsets = await send(servers, pipeline.topic(topic), 0, hostile_batches())
        taken[topic.name] = sum(offset >= 0 for offset in offsets)
    return taken


def test_every_hostile_record_ends_in_its_lane_and_nothing_behind_it_waits(pipeline: Pipeline) -> None:
    sender = Sender(pipeline)
    taken = produce_corpus(pipeline, sender)
    assert len(taken) > 60
    batches = asyncio.run(produce_batches(pipeline, [INGEST, *LANES]))
    assert set(batches.values()) == {len(hostile_batches())}
    for partition in range(pipeline.settings.kafka.partitions):
        sender.good_event(partition)

    pipeline.wait(lambda: not pipeline.lag(), pipeline.lag)
    good = set(sender.good)
    pipeline.wait(lambda: pipeline.completed(good) == good, lambda: good - pipeline.completed(good))
    assert pipeline.deaths.lines == []

    letters = read_letters(pipeline.settings.kafka, pipeline.codec).letters
    expected = Counter(record.lane for record in taken if record.lane != EVENT)
    found = Counter(letter.about.error for letter in letters if letter.about.topic == "ingest")
    assert found - Counter({"Unreadable": 3, "OutOfBounds": 1, "Undecodable": 2}) == expected
    per_topic = Counter(letter.about.topic for letter in letters)
    errors = Counter((letter.about.topic, letter.about.error, letter.about.message[:120]) for letter in letters)
    assert {topic.name: per_topic[topic.name] for topic in LANES} == {
        topic.name: batches[topic.name] for topic in LANES
    }, errors
