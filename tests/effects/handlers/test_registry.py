"""A charter's handlers are built from the table; the errors say which settings are missing."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from nightdesk.effects.handlers import registry
from nightdesk.effects.handlers.handler_spec import HandlerInvalid, Ports
from nightdesk.effects.handlers.http import HttpStepHandler
from nightdesk.effects.handlers.http_client import HttpClient
from nightdesk.effects.handlers.kafka import KafkaStepHandler
from nightdesk.effects.handlers.note import NoteStepHandler
from nightdesk.effects.handlers.outbound import Connection
from nightdesk.processors.charter.handlers import DONE_BY_THE_PLAYBOOK, HANDLER_TYPES, CharterHandler

HTTP = {"type": "http", "connection": "helpdesk", "path": "/replies"}
HANDLERS = TypeAdapter(dict[str, CharterHandler])


async def publish(topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes]) -> None: ...


def build(client: HttpClient, handlers: dict[str, Any], connections: Mapping[str, Connection]) -> dict[str, Any]:
    ports = Ports(client, publish, frozenset({"refunds"}), connections)
    return dict(registry.build(HANDLERS.validate_python(handlers), ports))


def test_each_type_has_its_handler_and_a_reminder_needs_none(client: HttpClient, connection: Connection) -> None:
    handlers = {
        "reply": HTTP,
        "tell": {"type": "kafka", "topic": "refunds"},
        "note": {"type": "note"},
        "remind": {"type": "remind"},
    }
    built = build(client, handlers, {"helpdesk": connection})
    assert {name: type(handler) for name, handler in built.items()} == {
        "reply": HttpStepHandler,
        "tell": KafkaStepHandler,
        "note": NoteStepHandler,
    }


@pytest.mark.parametrize(
    ("keys", "repeatable"),
    [
        ({}, True),
        ({"idempotent": "natural"}, True),
        ({"idempotent": "none"}, False),
        ({"idempotent": "none", "read_only": True}, True),
        ({"method": "GET"}, True),
        ({"idempotent": "none", "method": "GET"}, False),
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


@pytest.mark.parametrize(
    ("agents", "is_allowed"), [((), True), (("desk",), True), (("desk", "other"), True), (("other",), False)]
)
def test_a_connection_may_be_for_some_agents_only(
    client: HttpClient, agents: tuple[str, ...], is_allowed: bool
) -> None:
    connections = {"helpdesk": Connection("https://helpdesk.example", agents=frozenset(agents))}
    ports = Ports(client, publish, frozenset(), connections, "desk")
    handlers = HANDLERS.validate_python({"reply": HTTP})
    if is_allowed:
        assert registry.build(handlers, ports)
    else:
        with pytest.raises(
            HandlerInvalid, match="not for agent desk: add it to NIGHTDESK_CONNECTIONS__HELPDESK__AGENTS"
        ):
            registry.build(handlers, ports)


def test_every_type_of_the_charter_is_built_or_done_by_the_playbook() -> None:
    built = {spec.type for spec in registry.HANDLERS}
    assert built | DONE_BY_THE_PLAYBOOK == set(HANDLER_TYPES), (
        "a type needs its keys in processors/charter/handlers.py and its line in effects/handlers/registry.py"
    )
    assert not built & DONE_BY_THE_PLAYBOOK


def test_the_page_about_handlers_has_every_type() -> None:
    page = (Path(__file__).parents[3] / "docs/how-to/actions.md").read_text()
    section = page.partition("\n## Other handlers\n")[2].partition("\n## ")[0]
    described = {"http", *re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)}
    assert set(HANDLER_TYPES) - described == set(), "add a row below Other handlers in docs/how-to/actions.md"
