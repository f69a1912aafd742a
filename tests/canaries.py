"""Secrets that only look like some: each test pipeline has them in its environment, and none may come to rest anywhere.

`tests/conftest.py` looks for them when the session ends: in every topic, every table, and every file that the session
wrote, logs and what the model servers were asked among them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from nightdesk.clickhouse import clickhouse
from nightdesk.settings import KafkaSettings, Settings

MARK = "canary-5b1e9c"
# Every setting that holds a secret. The parts of the local stack take any user and password.
ENVIRONMENT: Mapping[str, str] = {
    variable: f"{MARK}-{number}-{variable.rpartition('_')[2].lower()}"
    for number, variable in enumerate(
        (
            "NIGHTDESK_ANTHROPIC__API_KEY",
            "NIGHTDESK_OPENAI__API_KEY",
            "NIGHTDESK_CONNECTIONS__HELPDESK__TOKEN",
            "NIGHTDESK_CONNECTIONS__ACTIONS__TOKEN",
            "NIGHTDESK_KAFKA__SASL_PASSWORD",
            "NIGHTDESK_SCHEMA_REGISTRY__PASSWORD",
        )
    )
} | {
    "NIGHTDESK_KAFKA__SASL_USERNAME": "nightdesk",
    "NIGHTDESK_KAFKA__SASL_MECHANISM": "PLAIN",
    "NIGHTDESK_SCHEMA_REGISTRY__USERNAME": "nightdesk",
}
# What the parts themselves keep, compressed; it is read through them.
SILENT_AT_MOST_S = 60
READ_BY_PROTOCOL = frozenset({"kafka", "clickhouse"})


def with_password(url: str) -> str:
    """A ClickHouse url that has a user and a canary for its password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"default:{MARK}-clickhouse@{host}").geturl()


def environment(*names: str) -> dict[str, str]:
    """The canaries of these settings (`OPENAI`, `ACTIONS`), and those that every process has."""
    always = ("KAFKA", "SCHEMA_REGISTRY")
    return {
        variable: value
        for variable, value in ENVIRONMENT.items()
        if any(f"_{name}_" in variable for name in (*always, *names))
    }


def leaks(settings: Settings, folders: Iterable[Path], marks: Sequence[str] = (MARK,)) -> list[str]:
    """Where any of the marks has come to rest."""
    return [
        *in_topics(settings.kafka, marks),
        *in_tables(settings, marks),
        *(leak for folder in folders for leak in in_files(folder, marks)),
    ]


def in_topics(kafka: KafkaSettings, marks: Sequence[str], prefix: str = "") -> list[str]:
    """The records of the topics with that prefix, Kafka's own apart, that hold a mark."""
    sought = [mark.encode() for mark in marks]
    return sorted(
        f"topic {message.topic()}, partition {message.partition()}, offset {message.offset()}"
        for message in _messages(kafka, prefix)
        if any(mark in _all_of(message) for mark in sought)
    )


def _messages(kafka: KafkaSettings, prefix: str) -> Iterator[Message]:
    """All of them by one consumer: a session leaves thousands of topics behind."""
    own = {"group.id": "canaries", "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 0}
    consumer = Consumer({**kafka.client_config(), **own, "auto.offset.reset": "earliest"})
    try:
        topics = consumer.list_topics(timeout=30).topics
        names = [name for name in topics if name.startswith(prefix) and not name.startswith("__")]
        partitions = [TopicPartition(name, number, 0) for name in names for number in topics[name].partitions]
        consumer.assign(partitions)
        left, silent = len(partitions), 0
        while left:
            read = consumer.consume(1000, 1.0)
            silent = 0 if read else silent + 1
            assert silent < SILENT_AT_MOST_S, f"{left} partitions of {len(partitions)} were not read to their end"
            for message in read:
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    left -= 1
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()


def _all_of(message: Message) -> bytes:
    headers = [value for _, value in list(message.headers() or ())]
    return b"\n".join(_bytes(part) for part in (message.key(), message.value(), *headers))


def _bytes(part: object) -> bytes:
    return part if isinstance(part, bytes) else str(part).encode()


def in_tables(settings: Settings, marks: Sequence[str]) -> Iterator[str]:
    """The tables of every database, ClickHouse's own apart, that hold a mark."""
    with clickhouse(settings.clickhouse, bound=False) as client:
        for database, table in _tables(client):
            name = f"{quote_identifier(database)}.{quote_identifier(table)}"
            found = f"SELECT count() FROM {name} WHERE multiSearchAny(toString(tuple(*)), {{marks:Array(String)}})"
            count = client.query(found, parameters={"marks": list(marks)}).result_rows[0][0]
            if count:
                yield f"table {database}.{table}: {count} rows"


def _tables(client: Client) -> list[tuple[str, str]]:
    ours = (
        "SELECT database, name FROM system.tables WHERE engine LIKE '%MergeTree'"
        " AND database NOT IN ('system', 'information_schema', 'INFORMATION_SCHEMA')"
    )
    return [(database, table) for database, table in client.query(ours).result_rows]


def in_files(folder: Path, marks: Sequence[str]) -> Iterator[str]:
    """The files under a folder that hold a mark."""
    sought = [mark.encode() for mark in marks]
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_symlink() or not path.is_file() or READ_BY_PROTOCOL & set(relative.parts[:-1]):
            continue
        if any(mark in path.read_bytes() for mark in sought):
            yield f"file {path}"
