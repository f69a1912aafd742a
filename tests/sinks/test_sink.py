"""The sink between a real Kafka and a real ClickHouse: nothing lost, nothing twice, whatever fails in between."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from nightdesk.commands.sink import sink_settings
from nightdesk.local.child import dying_with_this_process
from nightdesk.local.parts import python_module
from nightdesk.local.stack import LocalStack
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations import stage_status
from nightdesk.operations.schemas import register_schemas
from nightdesk.operations.sink_offsets import sink_reader, topic_id, wait_until_stopped
from nightdesk.operations.topics import apply_topics
from nightdesk.schemas import avro
from nightdesk.schemas.codec import Codec, RegistryUnavailable
from nightdesk.schemas.records import AuditRecord, DeadLetter
from nightdesk.settings import Settings
from nightdesk.sinks.audit.committed import chain_value, is_of_log, metadata_of, read_committed
from nightdesk.sinks.audit.consumer import Fenced, is_record
from nightdesk.sinks.audit.policy import BatchPolicy, SinkSettings
from nightdesk.sinks.audit.sink import run
from nightdesk.sinks.settings import ClickHouseSettings
from tests.sinks.forwarder import Forwarder
from tests.sinks.records import parts, record

WITHIN_S = 60.0
QUICK = BatchPolicy(linger_s=0.05, first_pause_s=0.05, longest_pause_s=0.2)
# So patient that what a test sends becomes one batch: it ends by its size.
PATIENT = replace(QUICK, linger_s=5.0, quiet_s=5.0)


@pytest.fixture
def settings(stack_settings: Settings, database: ClickHouseSettings) -> Settings:
    """Topics, schemas and a database of the test's own."""
    found = stack_settings.model_copy(update={"clickhouse": database})
    apply_topics(found.kafka)
    register_schemas(found)
    return found


@pytest.fixture
def codec(settings: Settings) -> Iterator[Codec]:
    with registered_codec(settings) as found:
        yield found


def send(settings: Settings, values: list[tuple[str, bytes]]) -> None:
    producer = Producer(settings.kafka.client_config())
    for key, value in values:
        producer.produce(
            f"{settings.kafka.topic_prefix}audit", key=key, value=value, headers=[("traceparent", b"00-x")]
        )
    assert producer.flush(WITHIN_S) == 0


def send_records(settings: Settings, codec: Codec, records: list[AuditRecord]) -> None:
    send(settings, [(one.subject, codec.encode(one)) for one in records])


def many(first: int, count: int) -> list[AuditRecord]:
    return [record("received", n, subject=f"ticket-{n % 50}", record_id=f"r-{n}") for n in range(first, first + count)]


@contextmanager
def running(settings: SinkSettings, codec: Codec, policy: BatchPolicy = QUICK) -> Iterator[None]:
    stop = threading.Event()
    failure: list[BaseException] = []

    def work() -> None:
        try:
            run(settings, codec, stop, policy)
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failure.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(WITHIN_S)
    assert not failure
    assert not thread.is_alive()


def count(client: Client, table: str = "records") -> int:
    return int(client.query(f"SELECT count() FROM {table}").result_rows[0][0])


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < until, "did not happen in time"
        time.sleep(0.05)


def committed_offsets(settings: Settings) -> dict[int, int]:
    """The group's committed offset by partition, without those that have none."""
    places = [(f"{settings.kafka.topic_prefix}audit", number) for number in range(settings.kafka.partitions)]
    return {number: offset for (_, number), offset in stage_status.committed(settings.kafka, "sink", places).items()}


def committed(settings: Settings) -> int:
    """The sum of the group's committed offsets."""
    return sum(committed_offsets(settings).values())


def lengths(settings: Settings, topic: str) -> dict[int, int]:
    """The number of records by partition, without those that have none."""
    name = f"{settings.kafka.topic_prefix}{topic}"
    consumer = Consumer({**settings.kafka.client_config(), "group.id": "lengths"})
    partitions = consumer.list_topics(name).topics[name].partitions
    ends = {number: consumer.get_watermark_offsets(TopicPartition(name, number)) for number in partitions}
    consumer.close()
    return {number: high for number, (_, high) in ends.items() if high}


def test_records_land_and_then_offsets_are_committed(settings: Settings, codec: Codec, client: Client) -> None:
    records = many(0, 500)
    send_records(settings, codec, records)
    with running(sink_settings(settings), codec):
        eventually(lambda: count(client) == 500)
    assert committed(settings) == 500
    places = client.query("SELECT record_id, `partition`, `offset`, topic FROM records").result_rows
    assert len({(row[1], row[2]) for row in places}) == 500
    assert {row[0] for row in places} == {one.record_id for one in records}
    assert {row[3] for row in places} == {f"{settings.kafka.topic_prefix}audit"}


def test_what_a_transaction_aborted_neither_lands_nor_is_lag(settings: Settings, codec: Codec, client: Client) -> None:
    """Nor does the marker behind it, although no record comes later."""
    topic = f"{settings.kafka.topic_prefix}audit"
    producer = Producer({**settings.kafka.client_config(), "transactional.id": topic})
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(topic, codec.encode(record("received", 1)), partition=0)
    producer.flush()
    producer.abort_transaction()
    producer.begin_transaction()
    producer.produce(topic, codec.encode(record("received", 2)), partition=0)
    producer.commit_transaction()
    with running(sink_settings(settings), codec):
        eventually(lambda: committed_offsets(settings) == {0: 4})
    assert count(client) == 1


def test_what_was_deleted_before_it_landed_is_said_to_be_lost(settings: Settings, codec: Codec, client: Client) -> None:
    """The audit itself says so, with the place; the rest is stored."""
    topic = f"{settings.kafka.topic_prefix}audit"
    producer = Producer(settings.kafka.client_config())

    def put(first: int, last: int) -> None:
        for number in range(first, last):
            producer.produce(topic, codec.encode(record("received", number, record_id=f"r-{number}")), partition=0)
        assert producer.flush(WITHIN_S) == 0

    put(0, 2)
    with running(sink_settings(settings), codec):
        eventually(lambda: committed_offsets(settings) == {0: 2})
    put(2, 8)
    place, admin = TopicPartition(topic, 0, 6), AdminClient(settings.kafka.client_config())
    admin.delete_records([place])[place].result()
    with running(sink_settings(settings), codec):
        eventually(lambda: count(client, "records WHERE kind = 'lost'") == 1)
        eventually(lambda: count(client) == 5)
    [[detail]] = client.query("SELECT detail FROM records WHERE kind = 'lost'").result_rows
    letter = DeadLetter.model_validate_json(detail)
    assert (letter.kind, letter.topic, letter.partition, letter.offset, letter.records) == ("lost", "audit", 0, 2, 4)


def test_an_offset_of_a_topic_that_was_deleted_counts_nothing_in_its_successor(
    settings: Settings, codec: Codec, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """A sink may commit an offset of the old log for the new one before it notices. Its successor reads all."""
    topic = f"{settings.kafka.topic_prefix}audit"
    producer = Producer(settings.kafka.client_config())

    def put(name: str, records: int) -> None:
        for number in range(records):
            producer.produce(topic, codec.encode(record("received", number, record_id=f"{name}-{number}")), partition=0)
        assert producer.flush(WITHIN_S) == 0

    put("old", 5)
    old = replace(sink_settings(settings), session_timeout_s=6, topic_id=lambda name: topic_id(settings.kafka, name))
    with running(old, codec):
        eventually(lambda: committed_offsets(settings) == {0: 5})
    old_id = topic_id(settings.kafka, topic)
    late = sink_reader(settings.kafka)
    [left] = read_committed(late, [TopicPartition(topic, 0)], WITHIN_S)
    assert (is_of_log(left, old_id), is_of_log(left, "another")) == (True, False)
    admin = AdminClient(settings.kafka.client_config())
    admin.delete_topics([topic])[topic].result()
    eventually(lambda: topic not in admin.list_topics(timeout=WITHIN_S).topics)
    apply_topics(settings.kafka)
    put("new", 8)
    wait_until_stopped(settings.kafka)
    late.commit(
        offsets=[TopicPartition(topic, 0, 5, metadata_of(chain_value(left), old_id))],
        asynchronous=False,
    )
    late.close()
    with running(old, codec):
        eventually(lambda: committed_offsets(settings) == {0: 8})
    assert count(client) == 13
    assert "was deleted and created again" in caplog.text


def test_small_sends_to_many_partitions_land_in_one_insert(settings: Settings, codec: Codec, client: Client) -> None:
    with running(sink_settings(settings), codec, replace(PATIENT, batch_messages=500)):
        for first in range(0, 500, 50):
            send_records(settings, codec, many(first, 50))
        eventually(lambda: count(client) == 500)
    assert committed_offsets(settings) == lengths(settings, "audit")
    assert len(lengths(settings, "audit")) > 1
    assert parts(client) == 1


def test_the_first_record_lands_at_once_and_those_that_follow_one_by_one_share_an_insert(
    settings: Settings, codec: Codec, client: Client
) -> None:
    with running(sink_settings(settings), codec, BatchPolicy(linger_s=60.0, quiet_s=0.05, pace_s=2.0)):
        send_records(settings, codec, many(0, 1))
        eventually(lambda: count(client) == 1)
        for number in range(1, 6):
            send_records(settings, codec, many(number, 1))
            time.sleep(0.1)
        eventually(lambda: count(client) == 6)
    assert parts(client) == 2


def test_so_many_as_are_worth_an_insert_land_as_soon_as_it_is_quiet(
    settings: Settings, codec: Codec, client: Client
) -> None:
    # Quiet is long here: a busy machine pauses within the 200, and what it had by then would land by itself.
    never = BatchPolicy(linger_s=90.0, quiet_s=5.0, pace_s=90.0, worth_messages=200)
    with running(sink_settings(settings), codec, never):
        send_records(settings, codec, many(0, 200))
        eventually(lambda: count(client) == 200)
        send_records(settings, codec, many(200, 200))
        eventually(lambda: count(client) == 400)
    assert parts(client) == 2


def test_a_record_that_is_refused_holds_up_its_own_partition_only(
    settings: Settings, codec: Codec, client: Client
) -> None:
    """One insert for all would be refused for ever. An unreadable record beside it still becomes one dead letter."""
    client.command("ALTER TABLE audit_records ADD CONSTRAINT bearable CHECK reason != 'unbearable'")
    refused = record("received", 0, subject="ticket-0", record_id="refused", reason="unbearable")
    values = [(one.subject, codec.encode(one)) for one in [*many(0, 200), refused]]
    send(settings, [*values, ("ticket-0", b"not avro")])
    everything = lengths(settings, "audit")
    with running(sink_settings(settings), codec, replace(PATIENT, batch_messages=202, linger_s=1.0)):
        eventually(lambda: len(committed_offsets(settings)) == len(everything) - 1)
        ((held_up, length),) = everything.items() - committed_offsets(settings).items()
        assert count(client, "audit_records") == 202 - length
        assert count(client, f"audit_records WHERE `partition` = {held_up}") == 0
        send_records(settings, codec, many(202, 200))
        others = {number: end for number, end in lengths(settings, "audit").items() if number != held_up}
        eventually(lambda: committed_offsets(settings) == others)
        client.command("ALTER TABLE audit_records DROP CONSTRAINT bearable")
        eventually(lambda: committed(settings) == 402)
    assert count(client) == count(client, "audit_records") == 402
    assert sum(lengths(settings, "audit.dlq").values()) == 1


def test_a_new_schema_waits_for_the_registry_and_holds_up_its_own_partition_only(
    settings: Settings, client: Client
) -> None:
    is_there = threading.Event()

    def fetch(schema_id: int) -> dict[str, Any]:
        if not is_there.is_set():
            raise RegistryUnavailable(f"cannot ask for schema {schema_id}")
        return avro.load(AuditRecord)

    old, new = Codec({AuditRecord: 1, DeadLetter: 2}, fetch), Codec({AuditRecord: 3}, fetch)
    send_records(settings, old, many(0, 200))
    send_records(settings, new, [record("received", 0, subject="ticket-0", record_id="of-a-new-program")])
    everything = lengths(settings, "audit")
    with running(sink_settings(settings), old, replace(PATIENT, batch_messages=201, linger_s=1.0)):
        eventually(lambda: len(committed_offsets(settings)) == len(everything) - 1)
        ((_, length),) = everything.items() - committed_offsets(settings).items()
        assert count(client) == 201 - length
        is_there.set()
        eventually(lambda: committed(settings) == 201)
    assert count(client) == count(client, "audit_records") == 201
    assert not lengths(settings, "audit.dlq")


def test_a_batch_that_cannot_be_delivered_is_rewound_in_all_its_partitions(
    settings: Settings, codec: Codec, client: Client, way_in: Forwarder
) -> None:
    send_records(settings, codec, many(0, 200))
    way_in.lose_answers = True
    with running(through(settings, way_in), codec, replace(PATIENT, batch_messages=200, linger_s=1.0)):
        eventually(lambda: way_in.answers_lost > 2)
        assert committed_offsets(settings) == {}
        way_in.lose_answers = False
        eventually(lambda: committed_offsets(settings) == lengths(settings, "audit"))
    assert len(lengths(settings, "audit")) > 1
    assert count(client) == count(client, "audit_records") == 200


def test_what_has_landed_is_not_inserted_again(settings: Settings, codec: Codec, client: Client) -> None:
    """A sink died between ClickHouse's OK and its commit, so the next one reads the records again."""
    send_records(settings, codec, many(0, 300))
    with running(sink_settings(settings), codec):
        eventually(lambda: count(client) == 300)
    other_group = replace(sink_settings(settings), group_id=f"{settings.kafka.topic_prefix}again")
    with running(other_group, codec):
        send_records(settings, codec, many(300, 100))
        eventually(lambda: count(client) == 400)
    assert count(client, "audit_records") == 400


def test_an_unreadable_record_is_parked_whole(settings: Settings, codec: Codec, client: Client) -> None:
    good = many(0, 10)
    poison = b"\x00\x00\x00\x00\x00not avro"
    send(settings, [*((one.subject, codec.encode(one)) for one in good), ("ticket-9", poison), ("ticket-9", b"")])
    with running(sink_settings(settings), codec):
        eventually(lambda: count(client) == 12)
    letters = read_all(settings, f"{settings.kafka.topic_prefix}audit.dlq", 2)
    assert sorted(message.value() for message in letters) == [b"", poison]
    for message in letters:
        headers = dict(message.headers())
        letter = codec.decode(DeadLetter, headers["nightdesk.dead_letter"])
        assert message.key() == b"ticket-9"
        assert headers["traceparent"] == b"00-x"
        assert headers["__connect.errors.topic"] == b"audit"
        assert headers["__connect.errors.stage"] == b"sink"
        assert headers["__connect.errors.offset"] == str(letter.offset).encode()
        assert headers["__connect.errors.exception.message"] == letter.message.encode()
    told = client.query("SELECT stage, topic, subject FROM dead_letters").result_rows
    assert told == [("sink", "audit", "ticket-9")] * 2
    assert committed(settings) == 12


def read_all(settings: Settings, topic: str, expected: int) -> list[Any]:
    consumer = Consumer({**settings.kafka.client_config(), "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found: list[Any] = []

    def read() -> bool:
        found.extend(consumer.consume(10, 0.2))
        return len(found) >= expected

    eventually(read)
    consumer.close()
    return found


@pytest.fixture
def way_in(settings: Settings) -> Iterator[Forwarder]:
    """The path to ClickHouse, which a test can close."""
    arguments = settings.clickhouse.client_arguments()
    with Forwarder((arguments["host"], arguments["port"])) as forwarder:
        yield forwarder


def through(settings: Settings, way_in: Forwarder) -> SinkSettings:
    plain = sink_settings(settings)
    return replace(plain, clickhouse={**plain.clickhouse, "port": way_in.port})


def test_while_clickhouse_is_away_nothing_is_lost(
    settings: Settings, codec: Codec, client: Client, way_in: Forwarder
) -> None:
    way_in.close()
    send_records(settings, codec, many(0, 200))
    with running(through(settings, way_in), codec):
        time.sleep(1)
        assert (count(client), committed(settings)) == (0, 0)
        way_in.open()
        eventually(lambda: count(client) == 200)
        way_in.close()
        send_records(settings, codec, many(200, 200))
        time.sleep(1)
        assert count(client) == 200
        way_in.open()
        eventually(lambda: count(client) == 400)
    assert committed(settings) == 400
    assert count(client, "audit_records") == 400


def test_an_insert_whose_answer_was_lost_counts_once(
    settings: Settings, codec: Codec, client: Client, way_in: Forwarder
) -> None:
    with running(through(settings, way_in), codec):
        send_records(settings, codec, many(0, 10))
        eventually(lambda: count(client) == 10 and committed(settings) == 10)
        way_in.lose_answers = True
        send_records(settings, codec, many(10, 100))
        eventually(lambda: way_in.answers_lost > 1 and count(client) > 10)
        send_records(settings, codec, many(110, 100))
        way_in.lose_answers = False
        eventually(lambda: count(client) == 210 and committed(settings) == 210)
    assert count(client, "audit_records") == 210


def test_a_poison_record_is_parked_once_while_clickhouse_is_away(
    settings: Settings, codec: Codec, client: Client, way_in: Forwarder
) -> None:
    way_in.close()
    send(settings, [("ticket-9", b"not avro")])
    with running(through(settings, way_in), codec):
        time.sleep(1)
        way_in.open()
        eventually(lambda: count(client) == 1)
    assert len(read_all(settings, f"{settings.kafka.topic_prefix}audit.dlq", 1)) == 1


def test_killed_again_and_again_every_record_lands_once(
    stack: LocalStack, settings: Settings, codec: Codec, client: Client
) -> None:
    """The command itself: kill -9 while it works, then SIGTERM, after which it must exit with 0."""
    environment = stack.environment() | {
        "NIGHTDESK_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "NIGHTDESK_CLICKHOUSE__URL": settings.clickhouse.url,
    }

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(dying_with_this_process(python_module("nightdesk", "sink")), env=environment)

    total = 0
    for _ in range(3):
        child = start()
        send_records(settings, codec, many(total, 4000))
        total += 4000
        before = count(client)
        eventually(lambda before=before: count(client) > before)  # type: ignore[misc]
        child.kill()
        child.wait()
    child = start()
    # The killed ones may have landed and committed all there was: only what comes now shows that this one is at work.
    send_records(settings, codec, many(total, 10))
    total += 10
    eventually(lambda: committed(settings) == total)
    child.send_signal(signal.SIGTERM)
    assert child.wait(WITHIN_S) == 0
    assert count(client) == total
    assert count(client, "audit_records") == total


@pytest.mark.parametrize("code", [KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID])
def test_a_consumer_that_gives_nothing_more_is_not_kept(code: int) -> None:
    """A broker that was frozen for two minutes had fenced both sinks: they kept running, and nothing was stored any
    more.
    """
    with pytest.raises(Fenced, match="fenced by other"):
        is_record(Message(error=KafkaError(code, "Static consumer fenced by other consumer")))


def test_an_error_that_passes_is_passed_over() -> None:
    assert not is_record(Message(error=KafkaError(KafkaError._TRANSPORT, "broker down")))
