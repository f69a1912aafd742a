"""The channels that are one HTTP request: a generic webhook, Slack's incoming webhooks, PagerDuty's events.

Each has a body of its own (`slack.py` has Slack's); the meaning of a response is the same for all. Text from outside
goes into fields that the other side does not interpret.
"""

from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import orjson
from yarl import URL

from nightdesk.effects.channels.addresses import RouteAddress, RouteInvalid
from nightdesk.effects.channels.channel import TIMEOUT_S, Channel, ChannelPorts
from nightdesk.effects.handlers.http_client import HttpClient
from nightdesk.effects.handlers.outbound import AddressRefused, Connection, ConnectionInvalid, base_url
from nightdesk.effects.retry_after import retry_after_seconds
from nightdesk.effects.secrets import explained, redact
from nightdesk.processors.notifications import Message
from nightdesk.processors.playbook import StepResult

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
PAGERDUTY_CHARACTERS_AT_MOST = 1024
ERROR_CHARACTERS_AT_MOST = 300
RESPONSE_BYTES_AT_MOST = 4096
# After these statuses the same request may succeed later.
TEMPORARY = frozenset({408, 425, 429})


def webhook_body(message: Message, _address: RouteAddress) -> dict[str, Any]:
    """All fields of the message, for a receiver of your own."""
    return {
        "id": message.key,
        "route": message.route,
        "class": message.event_class,
        "severity": message.severity,
        "title": message.title,
        "count": message.count,
        "items": list(message.lines),
        "first_at": message.first_at.isoformat(),
        "last_at": message.last_at.isoformat(),
        "approvals": [card.model_dump(mode="json") for card in message.cards],
    }


def pagerduty_body(message: Message, address: RouteAddress) -> dict[str, Any]:
    """An event of the Events API v2. Events with the same `dedup_key` are one alert: a repetition wakes nobody, and
    `resolve` ends it.
    """
    if message.is_over:
        return {"routing_key": address.token, "event_action": "resolve", "dedup_key": message.key}
    return {
        "routing_key": address.token,
        "event_action": "trigger",
        "dedup_key": message.key,
        "payload": {
            "summary": message.title[:PAGERDUTY_CHARACTERS_AT_MOST],
            "source": "nightdesk",
            "severity": message.severity,
            "timestamp": message.last_at.isoformat(),
            "class": message.event_class,
            "custom_details": {"count": message.count, "items": list(message.lines)},
        },
    }


Body = Callable[[Message, RouteAddress], Mapping[str, Any]]


class HttpChannel:
    """One POST for each message, with its key as `Idempotency-Key`."""

    def __init__(self, address: RouteAddress, body: Body, http: HttpClient) -> None:
        self._address = address
        self._body = body
        self._session = http.reusing
        self._url = URL(address.url, encoded=True)

    async def send(self, message: Message) -> StepResult:
        """Send the message. The result is `done` if the other side took it, and `retryable` if it may take it later."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.key}
        if self._address.token and self._address.channel == "webhook":
            headers["Authorization"] = f"Bearer {self._address.token}"
        body, timeout = orjson.dumps(self._body(message, self._address)), aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._session.post(
                self._url, data=body, headers=headers, allow_redirects=False, timeout=timeout
            ) as response:
                answer = await response.content.read(RESPONSE_BYTES_AT_MOST)
                return self._judge(response.status, answer, response.headers)
        except aiohttp.ClientConnectorError as error:
            is_refused = isinstance(error.os_error, AddressRefused)
            return self._failed(explained(error.os_error), retryable=not is_refused)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return self._failed(explained(error), retryable=True)

    def _judge(self, status: int, answer: bytes, headers: Mapping[str, str]) -> StepResult:
        if 200 <= status < 300:
            return StepResult("done", answered=True)
        said = " ".join(answer.decode(errors="replace").split())
        after_s = retry_after_seconds(headers.get("Retry-After"))
        return self._failed(f"HTTP {status}: {said}", retryable=status in TEMPORARY or status >= 500, after_s=after_s)

    def _failed(self, error: str, *, retryable: bool, after_s: float | None = None) -> StepResult:
        for secret in (self._address.token, self._address.url, self._url.raw_path):
            error = redact(secret if len(secret) > 1 else None, error)
        error = error[:ERROR_CHARACTERS_AT_MOST]
        return StepResult("failed", error=error, retryable=retryable, retry_after_seconds=after_s)


def connection_of(address: RouteAddress) -> Connection:
    """The host of the route, for the resolver that allows no other. Raises `RouteInvalid`."""
    try:
        url = URL(address.url)
        connection = Connection(str(url.origin()), allow_private=address.allow_private)
        base_url(connection)
    except (ValueError, ConnectionInvalid):
        raise RouteInvalid(f"route {address.name}: its url cannot be called: write it as https://host/path") from None
    return connection


def build(body: Body) -> Callable[[RouteAddress, ChannelPorts], Channel]:
    """The builder of the channel with this body."""

    def channel(address: RouteAddress, ports: ChannelPorts) -> Channel:
        connection_of(address)
        return HttpChannel(address, body, ports.http)

    return channel
