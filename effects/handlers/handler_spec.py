"""The specification of a type of handler, and the ports that handlers are built from. `registry.py` lists the types."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nightdesk.effects.handlers.http_client import HttpClient
from nightdesk.effects.handlers.outbound import Connection
from nightdesk.effects.handlers.protocol import Handler, Publish
from nightdesk.processors.charter.handlers import CharterHandler


class HandlerInvalid(ValueError):
    """A charter's handler cannot work with these settings; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Ports:
    """How the handlers of an agent reach other systems: the connections of the settings by name, their HTTP client, and
    the outside topics that they may produce to.
    """

    http: HttpClient
    publish: Publish
    topics: frozenset[str] = frozenset()
    connections: Mapping[str, Connection] = field(default_factory=dict)
    agent: str = ""


@dataclass(frozen=True, slots=True)
class HandlerSpec:
    """One type of handler. `build` builds one handler of a charter from its name and its keys. It raises
    `HandlerInvalid`.
    """

    type: str
    build: Callable[[str, CharterHandler, Ports], Handler]
