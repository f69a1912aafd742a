"""`nightdesk notify`: the routes of the settings, and a test message over a real connection."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from nightdesk.commands.notify import app
from nightdesk.messaging import changelog
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.naming import group_id
from nightdesk.processors.notifications import Batch
from nightdesk.settings import Settings, load_settings
from nightdesk.streams.api.tables import encode
from nightdesk.streams.stages.notification_records import last_key
from tests.fakes.notification_server import receivers
from tests.nightdesk.command_line import CommandLine

RUN = CliRunner()
TOKEN = "s3cret"


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """One route to a webhook and one to Slack."""
    for name, value in {
        "OPS__CHANNEL": "webhook",
        "OPS__URL": "http://127.0.0.1:9/webhook",
        "OPS__TOKEN": TOKEN,
        "OPS__ALLOW_PRIVATE": "true",
        "OPS__TELL": "failure, unknown",
        "OPS__QUIET_HOURS": "22:00-07:00",
        "OPS__TIME_ZONE": "Europe/Berlin",
        "OPS__BATCH": "5m",
        "OPS__OTHERWISE": "boss",
        "BOSS__CHANNEL": "email",
        "BOSS__TO": "a@example.com, b@example.com",
    }.items():
        monkeypatch.setenv(f"NIGHTDESK_NOTIFY__{name}", value)
    return monkeypatch


def test_routes_are_read_from_the_environment(routes: pytest.MonkeyPatch) -> None:
    ops, boss = (load_settings().notify[name] for name in ("ops", "boss"))
    assert sorted(ops.policy.tell) == ["failure", "unknown"]
    assert (ops.policy.batch, ops.policy.otherwise) == (300, "boss")
    assert boss.addresses == ("a@example.com", "b@example.com")


def test_a_route_that_takes_no_message_is_in_the_list_without_secrets_and_in_the_status(
    routes: pytest.MonkeyPatch, nightdesk: CommandLine, topics: Settings
) -> None:
    night = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)
    batch = Batch(
        batch_id="b-1", route="ops", event_class="failure", first_at=night, last_at=night, due_at=night, count=3
    )
    rows = {"b-1": batch.model_copy(update={"state": "sending"}).failing("HTTP 404: no_service", night)}
    rows[last_key("ops", "failure")] = batch
    producer = Producer(topics.kafka.client_config())
    for key, value in rows.items():
        entry, _ = changelog.encode(changelog.Entry(1, 0.0, encode(value)))
        producer.produce(f"{group_id(topics.kafka.topic_prefix, 'notify')}-batches-changelog", entry, key)
    assert producer.flush(30) == 0
    listed = nightdesk("notify", "list", "-o", "json")
    assert "22:00-07:00 Europe/Berlin" in listed.out
    assert not [secret for secret in (TOKEN, "127.0.0.1") if secret in listed.out]
    boss, ops = listed.json()
    assert (boss["route"], boss["state"]["failing_since"], boss["state"]["messages"]) == ("boss", None, 0)
    assert (ops["state"]["error"], ops["state"]["failing_since"]) == ("HTTP 404: no_service", str(night))
    assert (ops["state"]["messages"], ops["state"]["events"], ops["state"]["waiting_since"]) == (1, 3, str(night))
    assert nightdesk("status", "-o", "json").json()["routes"] == [ops["state"]]
    words = f"ops has taken no message since {night:%Y-%m-%d %H:%M:%S} UTC, the last error at"
    assert words in nightdesk("notify", "list").out
    assert words in nightdesk("status").out


@pytest.mark.parametrize(
    ("name", "value"), [("OPS__TELL", "everything"), ("OPS__OTHERWISE", "nobody"), ("BOSS__OTHERWISE", "ops")]
)
def test_a_route_that_cannot_work_is_named(routes: pytest.MonkeyPatch, name: str, value: str) -> None:
    routes.setenv(f"NIGHTDESK_NOTIFY__{name}", value)
    with pytest.raises(Failure, match="NIGHTDESK_NOTIFY"):
        load_settings()


async def test_a_test_message_is_taken_by_the_other_side(routes: pytest.MonkeyPatch) -> None:
    async with receivers() as server:
        routes.setenv("NIGHTDESK_NOTIFY__OPS__URL", f"{server.url}/webhook")
        result = await asyncio.to_thread(RUN.invoke, app, ["test", "ops"])
        assert result.exit_code == 0, result.output
        [(_, body, headers)] = server.taken
    assert (body["class"], body["count"]) == ("test", 1)
    assert headers["Idempotency-Key"] in result.stdout


@pytest.mark.parametrize(
    ("route", "kind"),
    [("nobody", FailureKind.NOT_FOUND), ("ops", FailureKind.UNREACHABLE), ("boss", FailureKind.UNREACHABLE)],
)
def test_why_a_test_message_was_not_sent(routes: pytest.MonkeyPatch, route: str, kind: FailureKind) -> None:
    failed = RUN.invoke(app, ["test", route]).exception
    assert isinstance(failed, Failure)
    assert failed.kind is kind
    assert TOKEN not in str(failed)
