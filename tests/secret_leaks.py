"""Secrets that only look like some: each test pipeline has them in its environment, and none may come to rest anywhere.

`tests/conftest.py` looks for them when the session ends: in every topic, every table, and every file that the session
wrote, logs and what the model servers were asked among them.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.client import Client

from nightdesk.local.secrets import LocalSecrets
from nightdesk.messaging.batch_bytes import FetchedBytes, RecordBatch
from nightdesk.messaging.unpacking import CannotUnpack
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.settings import Settings

MARK = "canary-5b1e9c"
# In a secret that must be base64, which has no hyphen.
MARK_BASE64 = "canary5b1e9c"
MARKS = (MARK, MARK_BASE64)
# Every setting that holds a secret.
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
            "NIGHTDESK_CONSOLE__SLACK__SIGNING_SECRET",
        )
    )
} | {
    "NIGHTDESK_CONSOLE__WEBHOOK_SECRET": f"whsec_{3 * MARK_BASE64}",
    "NIGHTDESK_KAFKA__SASL_USERNAME": "nightdesk",
    "NIGHTDESK_KAFKA__SASL_MECHANISM": "PLAIN",
    "NIGHTDESK_SCHEMA_REGISTRY__USERNAME": "nightdesk",
}
# What the listeners of a test's stack ask for.
SECRETS = LocalSecrets(
    clickhouse_migrate=f"{MARK}-migrate",
    clickhouse_sink=f"{MARK}-clickhouse",
    clickhouse_reader=f"{MARK}-reader",
    clickhouse_viewer=f"{MARK}-viewer",
    forget_key=f"{MARK}-forget-key",
    helpdesk=ENVIRONMENT["NIGHTDESK_CONNECTIONS__HELPDESK__TOKEN"],
    console=f"{MARK}-console",
)
# Where the secrets of a stack belong; only their owner reads them.
SECRET_FILES = frozenset({"secrets.json", "stack.json"})
# What these parts keep is compressed, so it is looked through in other ways.
COMPRESSED = frozenset({"kafka", "clickhouse"})


def with_password(url: str) -> str:
    """A ClickHouse url that has a user and a canary for its password: that of a stack with `SECRETS`."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"sink:{SECRETS.clickhouse_sink}@{host}").geturl()


def environment(*names: str) -> dict[str, str]:
    """The canaries of these settings (`OPENAI`, `ACTIONS`), and those that every process has."""
    always = ("KAFKA", "SCHEMA_REGISTRY")
    return {
        variable: value
        for variable, value in ENVIRONMENT.items()
        if any(f"_{name}_" in variable for name in (*always, *names))
    }


def leaks(settings: Settings, folders: Iterable[Path], marks: Sequence[str] = MARKS) -> list[str]:
    """Where any of the marks has come to rest."""
    return [
        *in_topics(kafka_log(settings.home), marks),
        *in_tables(settings, marks),
        *(leak for folder in folders for leak in in_files(folder, marks)),
    ]


def kafka_log(home: Path) -> Path:
    """The folder in which the Kafka of a local stack keeps its topics."""
    return home / "kafka"


def in_topics(log: Path, marks: Sequence[str], prefix: str = "") -> list[str]:
    """The batches of the topics with that prefix that hold a mark, in records of open and aborted transactions too.

    Read from the broker's own files: a session leaves ten thousand partitions behind, and a client that is asked for so
    many of them forgets some.
    """
    sought = [mark.encode() for mark in marks]
    return [
        f"partition {segment.parent.name}, batch at offset {batch.base_offset}"
        for partition in sorted(log.iterdir())
        if partition.name.startswith(prefix)
        for segment in sorted(_files(partition))
        if segment.suffix == ".log"
        for batch in _batches(segment)
        if any(mark in _unpacked(batch) for mark in sought)
    ]


def _batches(segment: Path) -> Iterator[RecordBatch]:
    stored = FetchedBytes(_content(segment))
    while stored.has_next():
        yield RecordBatch(stored.next_batch())


def _unpacked(batch: RecordBatch) -> bytes:
    try:
        return batch.unpacked().data
    except CannotUnpack:
        # One of the hostile tests' own: nobody could read a secret from it either.
        return batch.data


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
    for path in sorted(_files(folder)):
        if path.name in SECRET_FILES and path.stat().st_mode & 0o077 == 0:
            continue
        if any(mark in _content(path) for mark in sought):
            yield f"file {path}"


def _files(folder: Path) -> Iterator[Path]:
    """Unlike `Path.rglob`, it passes over folders that the broker deletes meanwhile."""
    for parent, folders, names in os.walk(folder):
        folders[:] = set(folders) - COMPRESSED
        paths = (Path(parent, name) for name in names)
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # deleted meanwhile, so nothing rests there
        return b""
