"""The table of handler types, and the handlers of one charter built from it.

`nightdesk/bootstrap.py` calls `build` for each charter version that a worker is given. A new type of handler is a new
line here and in the charter's model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from effects.actions.asking import AskedHttpAction
from effects.actions.http import HttpAction, HttpClient
from effects.actions.kafka import KafkaAction, Publish
from effects.actions.note import NoteAction
from effects.actions.outbound import Connection, ConnectionInvalid
from effects.actions.protocol import Handler
from effects.actions.request import RequestRefused
from processors.charter import playbooks


@dataclass(frozen=True, slots=True)
class Ports:
    """What handlers reach the outside through. `topics` are the outside topics that may be produced to."""

    http: HttpClient
    publish: Publish
    topics: frozenset[str] = frozenset()


class HandlerInvalid(ValueError):
    """A charter's handler cannot work with these settings; the message says what to do."""


Connections = Mapping[str, Connection]


def build(handlers: Mapping[str, playbooks.Handler], connections: Connections, ports: Ports) -> dict[str, Handler]:
    """A charter's handlers by name, apart from `remind`, which the playbook does itself. Raises `HandlerInvalid`."""
    return {
        name: BUILDERS[handler.type](name, handler, connections, ports)
        for name, handler in handlers.items()
        if handler.type in BUILDERS
    }


def _http(name: str, handler: playbooks.Handler, connections: Connections, ports: Ports) -> Handler:
    assert isinstance(handler, playbooks.HttpHandler)
    connection = connections.get(handler.connection)
    if connection is None:
        variable = f"NIGHTDESK_CONNECTIONS__{handler.connection.upper()}__BASE_URL"
        raise HandlerInvalid(f"handler {name}: there is no connection {handler.connection!r}: set {variable}")
    try:
        kind = HttpAction if handler.reconcile is None else AskedHttpAction
        return kind(handler, connection, ports.http)
    except (ConnectionInvalid, RequestRefused) as error:
        raise HandlerInvalid(f"handler {name}, connection {handler.connection}: {error}") from error


def _kafka(name: str, handler: playbooks.Handler, connections: Connections, ports: Ports) -> Handler:
    assert isinstance(handler, playbooks.KafkaHandler)
    if handler.topic not in ports.topics:
        known = ", ".join(sorted(ports.topics)) or "none"
        raise HandlerInvalid(
            f"handler {name}: topic {handler.topic!r} is not allowed in the settings; allowed: {known}"
        )
    return KafkaAction(handler.topic, ports.publish)


def _note(name: str, handler: playbooks.Handler, connections: Connections, ports: Ports) -> Handler:
    return NoteAction()


BUILDERS: Mapping[str, Callable[[str, playbooks.Handler, Connections, Ports], Handler]] = {
    "http": _http,
    "kafka": _kafka,
    "note": _note,
}
