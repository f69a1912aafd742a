"""A charter's handlers from the table, and clear words where the settings do not fit them."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import TypeAdapter

from effects.actions import registry
from effects.actions.http import HttpAction, HttpClient
from effects.actions.kafka import KafkaAction
from effects.actions.note import NoteAction
from effects.actions.outbound import Connection
from effects.actions.registry import HandlerInvalid, Ports
from processors.charter import playbooks

HTTP = {"type": "http", "connection": "helpdesk", "path": "/replies"}
HANDLERS = TypeAdapter(dict[str, playbooks.Handler])


async def publish(topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes]) -> None: ...


def build(client: HttpClient, handlers: dict[str, Any], connections: Mapping[str, Connection]) -> dict[str, Any]:
    ports = Ports(client, publish, frozenset({"refunds"}))
    return dict(registry.build(HANDLERS.validate_python(handlers), connections, ports))


def test_each_type_has_its_handler_and_a_reminder_needs_none(client: HttpClient, connection: Connection) -> None:
    handlers = {
        "reply": HTTP,
        "tell": {"type": "kafka", "topic": "refunds"},
        "note": {"type": "note"},
        "remind": {"type": "remind"},
    }
    built = build(client, handlers, {"helpdesk": connection})
    assert {name: type(handler) for name, handler in built.items()} == {
        "reply": HttpAction,
        "tell": KafkaAction,
        "note": NoteAction,
    }


@pytest.mark.parametrize(
    ("keys", "repeatable"),
    [
        ({}, True),
        ({"idempotent": "natural"}, True),
        ({"idempotent": "none"}, False),
        ({"idempotent": "none", "read_only": True}, True),
        ({"idempotent": "none", "method": "GET"}, True),
    ],
)
def test_what_may_be_repeated(
    client: HttpClient, connection: Connection, keys: dict[str, Any], repeatable: bool
) -> None:
    built = build(client, {"reply": {**HTTP, **keys}}, {"helpdesk": connection})
    assert built["reply"].repeatable is repeatable


@pytest.mark.parametrize(
    ("handler", "base_url", "says"),
    [
        (HTTP, None, "handler reply: there is no connection 'helpdesk': set NIGHTDESK_CONNECTIONS__HELPDESK__BASE_URL"),
        (HTTP, "http://127.0.0.1", "handler reply, connection helpdesk: 127.0.0.1 is not public: set .*allow_private"),
        (HTTP, "helpdesk.example", "write http://host"),
        ({**HTTP, "path": "/../x"}, "https://helpdesk.example", "leaves the connection's base_url"),
        (
            {"type": "kafka", "topic": "secrets"},
            None,
            "topic 'secrets' is not allowed in the settings; allowed: refunds",
        ),
    ],
)
def test_what_does_not_fit_is_said(
    client: HttpClient, handler: dict[str, Any], base_url: str | None, says: str
) -> None:
    connections = {} if base_url is None else {"helpdesk": Connection(base_url)}
    with pytest.raises(HandlerInvalid, match=says):
        build(client, {"reply": handler}, connections)
