"""Where notifications go: a route's address, and the server that takes our e-mail.

The settings read this at the start of every command, so it imports no client.
"""

from dataclasses import dataclass, field
from typing import Literal

ChannelName = Literal["webhook", "slack", "email", "pagerduty", "kafka"]


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
