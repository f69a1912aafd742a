"""The protocol of a channel, and what a channel is built from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from nightdesk.effects.channels.addresses import MailServer, RouteAddress
from nightdesk.effects.handlers.http_client import HttpClient
from nightdesk.effects.handlers.protocol import Publish
from nightdesk.processors.notifications import Message
from nightdesk.processors.playbook import StepResult

TIMEOUT_S = 10.0


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
