"""`nightdesk notify`: the routes of the settings, and a test message over a real connection."""

import asyncio

import pytest
from typer.testing import CliRunner

from nightdesk.commands.notify import app
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.settings import load_settings
from tests.fakes.notification_server import receivers

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


def test_routes_are_read_from_the_environment_and_shown_without_secrets(routes: pytest.MonkeyPatch) -> None:
    ops, boss = (load_settings().notify[name] for name in ("ops", "boss"))
    assert sorted(ops.policy.tell) == ["failure", "unknown"]
    assert (ops.policy.batch, ops.policy.otherwise) == (300, "boss")
    assert boss.addresses == ("a@example.com", "b@example.com")
    shown = RUN.invoke(app, ["list", "--output", "json"]).stdout
    assert "22:00-07:00 Europe/Berlin" in shown
    assert TOKEN not in shown
    assert "127.0.0.1" not in shown


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
