"""The protocol of a channel, and what a channel is built from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from nightdesk.effects.handlers.http_client import HttpClient
from nightdesk.effects.handlers.protocol import Publish
from nightdesk.processors.notifications import Message
from nightdesk.processors.playbook import StepResult

ChannelName = Literal["webhook", "slack", "email", "pagerduty", "kafka"]
TIMEOUT_S = 10.0


class RouteInvalid(ValueError):
    """A route lacks what its channel needs; the message says which setting."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server that takes our e-mail. `tls`: from the first byte, after STARTTLS, or not at all."""

    host: str
    port: int
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)
    tls: Literal["starttls", "tls", "none"] = "starttls"


@dataclass(frozen=True, slots=True)
class RouteAddress:
    """The address of a route. `url` and `token` are secrets: anyone who has them can write to the same people.
    `buttons`: a message of Slack has buttons to answer approvals.
    """

    name: str
    channel: ChannelName
    url: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    to: tuple[str, ...] = ()
    topic: str = ""
    allow_private: bool = False
    buttons: bool = False


@dataclass(frozen=True, slots=True)
class ChannelPorts:
    """The connections through which channels send."""

    http: HttpClient
    publish: Publish
    topics: frozenset[str] = frozenset()
    mail: MailServer | None = None


class Channel(Protocol):
    """Sends one message. Never raises for the other side's failure."""

    async def send(self, message: Message) -> StepResult: ...


Build = Callable[[RouteAddress, ChannelPorts], Channel]
Builders = Mapping[str, Build]
