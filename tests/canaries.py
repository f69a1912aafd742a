"""Secrets that only look like some: each test pipeline has them in its environment, and none may come to rest anywhere.

`tests/conftest.py` looks for them when the session ends: in every topic, every table, and every file that the session
wrote, logs and what the model servers were asked among them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.client import Client
from confluent_kafka.admin import AdminClient

from nightdesk.clickhouse import clickhouse
from nightdesk.reading import read_topic
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
    sought = [mark.encode() for mark in marks]
    return [
        *_in_topics(settings.kafka, sought),
        *_in_tables(settings, marks),
        *(leak for folder in folders for leak in _in_files(folder, sought)),
    ]


def _in_topics(kafka: KafkaSettings, sought: Sequence[bytes]) -> Iterator[str]:
    names = AdminClient(kafka.client_config() | {"log_level": 0}).list_topics(timeout=30).topics
    for name in sorted(name for name in names if not name.startswith("__")):
        for message in read_topic(kafka, name):
            headers = [value for _, value in list(message.headers() or ())]
            said = b"\n".join(_bytes(part) for part in (message.key(), message.value(), *headers))
            if any(mark in said for mark in sought):
                yield f"topic {name}, partition {message.partition()}, offset {message.offset()}"


def _bytes(part: object) -> bytes:
    return part if isinstance(part, bytes) else str(part).encode()


def _in_tables(settings: Settings, marks: Sequence[str]) -> Iterator[str]:
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


def _in_files(folder: Path, sought: Sequence[bytes]) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_symlink() or not path.is_file() or READ_BY_PROTOCOL & set(relative.parts[:-1]):
            continue
        if any(mark in path.read_bytes() for mark in sought):
            yield f"file {path}"
