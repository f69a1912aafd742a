"""Each channel writes what its other side takes, under the message's key; a failure shows no secret."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from nightdesk.effects.channels import registry
from nightdesk.effects.channels.addresses import MailServer, RouteAddress, RouteInvalid
from nightdesk.effects.channels.channel import ChannelPorts
from nightdesk.effects.channels.http import connection_of
from nightdesk.effects.handlers.http_client import HttpClient
from nightdesk.effects.handlers.protocol import PublishFailed
from nightdesk.processors.notifications import Batch, Message, message_of
from nightdesk.processors.playbook import StepResult
from tests.fakes.notification_server import mail_server, receivers

NOW = datetime(2026, 11, 29, 2, 0, tzinfo=UTC)
HOSTILE = "<!channel> *bold* &amp; \r\nBcc: all@example.com\u202e " + "x" * 4000
KEY = "k" * 32


def message(*items: str, count: int = 12) -> Message:
    batch = Batch(
        batch_id="batch-1",
        route="ops",
        event_class="failure",
        first_at=NOW,
        last_at=NOW,
        due_at=NOW,
        count=count,
        items=items or (HOSTILE,) * 10,
    )
    return message_of(batch)


async def nobody(topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes]) -> None:
    raise PublishFailed("the broker is away")


async def send(address: RouteAddress, mail: MailServer | None = None, sent: Message | None = None) -> StepResult:
    client = HttpClient([connection_of(address)] if address.url else [])
    try:
        ports = ChannelPorts(client, nobody, frozenset({"shop.alerts"}), mail)
        return await registry.build([address], ports)[address.name].send(sent or message())
    finally:
        await client.aclose()


def address(channel: str, url: str = "", **fields: object) -> RouteAddress:
    return RouteAddress(name="ops", channel=channel, url=url, allow_private=True, **fields)  # type: ignore[arg-type]  # a row of a table


@pytest.mark.parametrize(("channel", "token"), [("slack", ""), ("pagerduty", KEY), ("webhook", "s3cret")])
async def test_the_other_side_takes_what_is_sent_whatever_stands_in_it(channel: str, token: str) -> None:
    async with receivers() as server:
        result = await send(address(channel, f"{server.url}/{channel}", token=token))
        assert result.status == "done", result.error
        [(path, body, headers)] = server.taken
        assert (path, headers["Idempotency-Key"]) == (f"/{channel}", "batch-1")
    if channel == "slack":
        assert {block["text"]["type"] for block in body["blocks"]} == {"plain_text"}, "no mention is one there"
        assert "<!channel>" not in body["text"]
    if channel == "pagerduty":
        assert body["dedup_key"] == "batch-1", "a repetition is the same alert"
    if channel == "webhook":
        assert (body["count"], len(body["items"]), body["class"]) == (12, 10, "failure")


async def test_a_hooks_address_is_called_as_it_was_given() -> None:
    """It may be signed, or hold a secret: requoted it would be another one."""
    path = "/%41b%7E?sig=a%2Bb%3d&sp"
    async with receivers() as server:
        assert (await send(address("webhook", f"{server.url}{path}", token="s3cret"))).status == "done"
        assert [taken[0] for taken in server.taken] == [path]


async def test_an_alert_is_ended_under_the_key_that_it_was_raised_with() -> None:
    async with receivers() as server:
        result = await send(
            address("pagerduty", f"{server.url}/pagerduty", token=KEY), sent=replace(message(), is_over=True)
        )
        assert result.status == "done", result.error
        [(_, body, _)] = server.taken
    assert body == {"routing_key": KEY, "event_action": "resolve", "dedup_key": "batch-1"}


@pytest.mark.parametrize(("status", "retryable"), [(500, True), (429, True), (400, False), (404, False), (302, False)])
async def test_what_may_pass_is_tried_again_and_no_secret_is_in_the_error(status: int, retryable: bool) -> None:
    async with receivers() as server:
        server.answers = [status]
        result = await send(address("slack", f"{server.url}/T0-B0-hidden"))
    assert (result.status, result.retryable) == ("failed", retryable)
    assert "B0" not in (result.error or "")
    assert str(status) in (result.error or "")


async def test_a_token_that_is_echoed_is_not_shown() -> None:
    async with receivers() as server:
        result = await send(address("webhook", f"{server.url}/webhook", token="wrong-token"))
    assert result.status == "failed"
    assert "wrong-token" not in (result.error or "")


async def test_who_is_not_there_is_tried_again_and_a_private_address_is_not_called() -> None:
    gone = RouteAddress("ops", "webhook", url="http://127.0.0.1:9/x", allow_private=True)
    assert (await send(gone)).retryable
    with pytest.raises(RouteInvalid):
        await send(RouteAddress("ops", "webhook", url="http://127.0.0.1:9/x"))


async def test_an_e_mail_is_handed_in_once_to_all_with_a_key_and_without_foreign_headers() -> None:
    async with mail_server() as box:
        server = MailServer("127.0.0.1", box.port, "nightdesk@example.com", tls="none")
        result = await send(address("email", to=("a@example.com", "b@example.com")), server)
        assert result.status == "done", result.error
        [(sender, to, mail)] = box.mails
    assert (sender, to) == ("nightdesk@example.com", ["a@example.com", "b@example.com"])
    assert (mail["Message-ID"], mail["Bcc"]) == ("<batch-1@nightdesk>", None)
    assert mail["Subject"] == "Nightdesk: actions failed: 12"
    assert "… and 2 more" in mail.get_content()


async def test_a_mail_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not() -> None:
    async with mail_server() as box:
        server = MailServer("127.0.0.1", box.port, "nightdesk@example.com", tls="none")
        box.busy = 1
        assert (await send(address("email", to=("a@example.com",)), server)).retryable
        box.refuses = frozenset({"a@example.com"})
        refused = await send(address("email", to=("a@example.com",)), server)
    assert (refused.status, refused.retryable) == ("failed", False)


async def test_a_topic_whose_broker_is_away_is_tried_again_and_one_that_is_not_allowed_is_refused() -> None:
    assert (await send(address("kafka", topic="shop.alerts"))).retryable
    with pytest.raises(RouteInvalid, match="NIGHTDESK_OUTSIDE_TOPICS"):
        await send(address("kafka", topic="nightdesk.act"))


@pytest.mark.parametrize(("channel", "wanted"), [("email", "SMTP"), ("webhook", "url")])
async def test_a_route_that_lacks_something_says_what(channel: str, wanted: str) -> None:
    with pytest.raises(RouteInvalid, match=wanted):
        await send(address(channel))


def test_lines_are_short_and_have_no_hidden_characters() -> None:
    for line in message().lines:
        assert len(line) <= 300
        assert "\n" not in line
        assert "\u202e" not in line
