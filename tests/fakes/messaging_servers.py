"""A Kafka broker and a schema registry in this process, for tests that need no more of them than topics and schemas.

The broker is librdkafka's own mock cluster. It keeps records and committed offsets in memory, starts in milliseconds,
and any client reaches it over loopback. It has every topic that a producer asks for, with four partitions. It does not
create topics with a configuration, describe groups, delete records or compact.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

from confluent_kafka import Producer


@contextmanager
def broker() -> Iterator[str]:
    """The address of a broker that lives as long as the block."""
    owner = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    [found] = owner.list_topics(timeout=10).brokers.values()
    yield f"{found.host}:{found.port}"
    owner.flush(0)


def create(address: str, topics: Iterable[str]) -> None:
    """Let the broker have these topics."""
    producer = Producer({"bootstrap.servers": address, "log_level": 0})
    for topic in topics:
        producer.list_topics(topic, timeout=10)


@contextmanager
def schema_registry() -> Iterator[str]:
    """The URL of a registry that lives as long as the block."""
    with _Registry(("127.0.0.1", 0), _Request) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class _Registry(ThreadingHTTPServer):
    """Keeps every schema of every subject; one schema has one id, whichever subjects it belongs to."""

    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.schemas: list[dict[str, Any]] = []
        self.subjects: dict[str, set[int]] = {}
        self.lock = Lock()

    def register(self, subject: str, schema: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            if schema not in self.schemas:
                self.schemas.append(schema)
            number = self.schemas.index(schema) + 1
            self.subjects.setdefault(subject, set()).add(number)
        return {"id": number}

    def looked_up(self, subject: str, schema: dict[str, Any]) -> dict[str, Any] | None:
        for number in self.subjects.get(subject, ()):
            if self.schemas[number - 1] == schema:
                return {"id": number, "subject": subject, "version": 1, **schema}
        return None


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Registry

    def do_GET(self) -> None:
        match self._path():
            case ["schemas", "ids", number] if 0 < int(number) <= len(self.server.schemas):
                self._answer(self.server.schemas[int(number) - 1])
            case _:
                self._answer(None)

    def do_POST(self) -> None:
        schema = self._body()
        match self._path():
            case ["subjects", subject, "versions"]:
                self._answer(self.server.register(subject, schema))
            case ["subjects", subject]:
                self._answer(self.server.looked_up(subject, schema))

    def do_PUT(self) -> None:
        self._answer(self._body())

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def _path(self) -> list[str]:
        return [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]

    def _body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return found

    def _answer(self, found: dict[str, Any] | None) -> None:
        content = json.dumps(found or {"error_code": 40401, "message": "not found"}).encode()
        self.send_response(HTTPStatus.NOT_FOUND if found is None else HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
