"""A secret that has come to rest is found, wherever that is: leaked on purpose, under a name of its own."""

import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its types forget what it exports

from nightdesk.local.stack import LocalStack
from nightdesk.messaging.settings import plain
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.settings import load_settings
from tests.secret_leaks import (
    ENVIRONMENT,
    MARK,
    MARKS,
    environment,
    in_files,
    in_tables,
    in_topics,
    kafka_log,
    with_password,
)


@pytest.fixture
def mark() -> str:
    return f"leaked-{uuid.uuid4().hex}"


def test_it_is_found_in_each_part_of_a_record(stack: LocalStack, mark: str) -> None:
    topic = f"{mark[:12]}.leaks"
    admin = AdminClient(stack.settings.kafka.client_config())  # gone, it would answer nobody
    admin.create_topics([NewTopic(topic, 1)])[topic].result(timeout=30)
    producer = Producer({**stack.settings.kafka.client_config(), "compression.type": "lz4"})
    padding = b"x" * 10_000
    producer.produce(topic, padding + mark.encode() + padding, b"value", 0)
    producer.flush(30)  # each in a batch of its own
    producer.produce(topic, b"key", mark.encode() + padding, 0)
    producer.flush(30)
    producer.produce(topic, b"header", b"", 0, headers=[("why", mark.encode() + padding)])
    producer.flush(30)
    producer.produce(topic, None, None, 0)
    producer.flush(30)
    found = in_topics(kafka_log(stack.settings.home), [mark], prefix=topic)
    assert found == [f"partition {topic}-0, batch at offset {offset}" for offset in (0, 1, 2)]


def test_it_is_found_in_an_open_transaction(stack: LocalStack, mark: str) -> None:
    topic = f"{mark[:12]}.leaks"
    admin = AdminClient(stack.settings.kafka.client_config())
    admin.create_topics([NewTopic(topic, 2)])[topic].result(timeout=30)
    producer = Producer({**stack.settings.kafka.client_config(), "transactional.id": mark})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"key", mark.encode(), 1)
    producer.flush(30)
    assert in_topics(kafka_log(stack.settings.home), [mark], prefix=topic) == [
        f"partition {topic}-1, batch at offset 0"
    ]
    producer.abort_transaction(30)


def test_it_is_found_in_a_table(stack: LocalStack, mark: str) -> None:
    database = mark.replace("-", "_")
    with clickhouse(stack.settings.clickhouse, "migrate", bound=False) as client:
        client.command(f"CREATE DATABASE {database}")
        client.command(f"CREATE TABLE {database}.t (n UInt8, m Map(String, String)) ENGINE = MergeTree ORDER BY n")
        client.command(f"INSERT INTO {database}.t VALUES (1, {{'a': 'no'}}), (2, {{'b': 'x{mark}x'}})")
        try:
            assert list(in_tables(stack.settings, [mark])) == [f"table {database}.t: 1 rows"]
        finally:
            client.command(f"DROP DATABASE {database}")


def test_it_is_found_in_a_file(tmp_path: Path, mark: str) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "decide.log").write_text(f"api_key={mark}\n")
    (tmp_path / "stack.json").write_text("{}")
    assert list(in_files(tmp_path, [mark])) == [f"file {tmp_path / 'logs' / 'decide.log'}"]


def test_each_secret_setting_has_a_canary(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in environment("ANTHROPIC", "OPENAI", "HELPDESK", "ACTIONS", "CONSOLE").items():
        monkeypatch.setenv(variable, value)
    for name in ("HELPDESK", "ACTIONS"):
        monkeypatch.setenv(f"NIGHTDESK_CONNECTIONS__{name}__BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("NIGHTDESK_CLICKHOUSE__URL", with_password("http://127.0.0.1:8123/x"))
    settings = load_settings()
    secrets = [
        settings.anthropic.api_key,
        settings.openai.api_key,
        settings.connections["helpdesk"].token,
        settings.connections["actions"].token,
        settings.kafka.sasl_password,
        settings.schema_registry.password,
        settings.console.slack.signing_secret,
        settings.console.webhook_secret,
    ]
    values = [plain(secret) for secret in secrets]
    assert values == list(ENVIRONMENT.values())[: len(secrets)]
    assert all(any(mark in value for mark in MARKS) for value in values)
    assert MARK in settings.clickhouse.client_arguments()["password"]
    assert MARK not in f"{settings!r} {settings} {settings.clickhouse.public_url}"
