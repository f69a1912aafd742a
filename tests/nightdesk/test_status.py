"""`nightdesk status`: the endpoints, and the lag of each stage as the broker knows it."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from nightdesk.exit_codes import EXIT_CODES
from nightdesk.messaging import transactions
from nightdesk.messaging.failures import FailureKind
from nightdesk.messaging.naming import group_id
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.schemas.topics import ACT
from nightdesk.settings import Settings
from tests.nightdesk.command_line import CommandLine
from tests.nightdesk.letters import DlqWriter

STOPPED = {"state": "stopped", "lag": 0, "in_flight": 0, "dead_letters": 0}
STAGES = ("ingest", "budget", "decide", "act", "timers", "notify", "sink")


def send(settings: Settings, topic: str, count: int) -> None:
    producer = Producer(settings.kafka.client_config())
    for _ in range(count):
        producer.produce(settings.kafka.topic_prefix + topic, b"x", partition=0)
    assert producer.flush(30) == 0


def test_the_json_contract(nightdesk: CommandLine, topics: Settings) -> None:
    document = nightdesk("status", "--output", "json").json()
    assert document["kafka"]["bootstrap_servers"] == topics.kafka.bootstrap_servers
    assert document["schema_registry"]["url"] == topics.schema_registry.url
    assert document["clickhouse"]["url"].startswith("http://127.0.0.1:")
    assert document["stages"] == dict.fromkeys(STAGES, STOPPED)


def test_lag_is_what_is_not_committed(nightdesk: CommandLine, topics: Settings) -> None:
    send(topics, "act", 5)
    send(topics, "approvals", 2)
    send(topics, "audit", 3)
    consumer = Consumer({**topics.kafka.client_config(), "group.id": group_id(topics.kafka.topic_prefix, "act")})
    consumer.commit(offsets=[TopicPartition(f"{topics.kafka.topic_prefix}act", 0, 4)], asynchronous=False)
    consumer.close()
    stages = nightdesk("status", "-o", "json").json()["stages"]
    assert {name: stage["lag"] for name, stage in stages.items()} == {
        "ingest": 0, "budget": 0, "decide": 0, "act": 3, "timers": 0, "notify": 3, "sink": 3
    }  # fmt: skip
    assert stages["act"]["in_flight"] is None


def test_lost_records_have_an_exit_code_of_their_own_until_a_person_acknowledges_them(
    nightdesk: CommandLine, topics: Settings
) -> None:
    with registered_codec(topics) as codec:
        letter_id = DlqWriter(topics, codec).lost(3, 10)
    ran = nightdesk("status", "-o", "json")
    assert ran.code == EXIT_CODES[FailureKind.LOST]
    [found] = ran.json()["lost"]
    assert (found["topic"], found["partition"], found["offset"], found["records"]) == ("ingest", 1, 3, 7)
    assert "7 records were lost" in ran.err
    text = nightdesk("status").out
    assert "lost: ingest/1" in text
    assert "offsets 3 to 9 were deleted" in text
    # They cannot be done again, so to replay them is no way out.
    assert nightdesk("dlq", "replay", letter_id).code == EXIT_CODES[FailureKind.NOT_FOUND]
    assert nightdesk("dlq", "discard", letter_id, "--reason", "retention was too short").code == 0
    ran = nightdesk("status", "-o", "json")
    assert (ran.code, ran.json()["lost"]) == (0, [])


def test_an_open_transaction_is_no_lag_and_is_shown_when_it_is_old(
    nightdesk: CommandLine, topics: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = Producer({**topics.kafka.client_config(), "transactional.id": topics.kafka.topic_prefix})
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(f"{topics.kafka.topic_prefix}act", b"x", partition=0)
    producer.flush()
    send(topics, "act", 2)
    document = nightdesk("status", "-o", "json").json()
    assert (document["stages"]["act"]["lag"], document["open_transactions"]) == (0, [])
    monkeypatch.setattr(transactions, "LONG_S", 0.0)
    [found] = nightdesk("status", "-o", "json").json()["open_transactions"]
    assert (found["topic"], found["partition"], found["offset"]) == (f"{topics.kafka.topic_prefix}act", 0, 0)
    assert "is open since" in nightdesk("status").out
    producer.abort_transaction()


def test_a_group_with_a_member_runs(nightdesk: CommandLine, topics: Settings) -> None:
    prefix = topics.kafka.topic_prefix
    consumer = Consumer({**topics.kafka.client_config(), "group.id": group_id(prefix, "budget")})
    consumer.subscribe([f"{prefix}budget"])
    try:
        while not consumer.assignment():
            consumer.poll(0.1)
        stages = nightdesk("status", "-o", "json").json()["stages"]
    finally:
        consumer.close()
    states = {name: stage["state"] for name, stage in stages.items()}
    assert states == {**dict.fromkeys(STAGES, "stopped"), "budget": "running"}


def test_open_dead_letters_of_each_stage(nightdesk: CommandLine, topics: Settings) -> None:
    with registered_codec(topics) as codec:
        send_to_dlq = DlqWriter(topics, codec)
        letter_id = send_to_dlq(b"x")
        for value in (b"y", b"z"):
            send_to_dlq(value, topic=ACT, stage="act")
    expected = {**dict.fromkeys(STAGES, 0), "act": 2}

    def counted() -> dict[str, int]:
        stages = nightdesk("status", "-o", "json").json()["stages"]
        return {name: stage["dead_letters"] for name, stage in stages.items()}

    assert counted() == expected | {"ingest": 1}
    assert nightdesk("dlq", "discard", letter_id, "--reason", "a test").code == 0
    assert counted() == expected
    lines = [line.split() for line in nightdesk("status").out.splitlines() if " stopped " in line]
    assert {line[0]: int(line[-1]) for line in lines} == expected


def test_dead_letters_that_cannot_be_read_are_not_none(
    nightdesk: CommandLine, topics: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTDESK_SCHEMA_REGISTRY__URL", "http://127.0.0.1:1")
    assert nightdesk("status", "-o", "json").json()["stages"]["act"]["dead_letters"] is None


@pytest.mark.usefixtures("topics")
def test_text_names_every_stage_and_waiting_says_who_is_missing(nightdesk: CommandLine) -> None:
    result = nightdesk("status", "--wait", "0.1")
    assert result.code == 5
    assert [line.split()[0] for line in result.out.splitlines() if line.split()[1:2] == ["stopped"]] == list(STAGES)
    assert result.err == "error: not done after 0.1 s: ingest, budget, decide, act, timers, notify, sink\n"


def test_a_broker_that_does_not_answer(nightdesk: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nightdesk.operations.stage_status.ANSWER_WITHIN_S", 1.0)
    monkeypatch.setenv("NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = nightdesk("status")
    assert result.code == 4
    assert "NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS" in result.err
