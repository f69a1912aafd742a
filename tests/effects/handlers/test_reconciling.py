"""After a crash the other side is asked about a call that must not be made twice, if its charter says how."""

import pytest

from nightdesk.effects.handlers.http_client import HttpClient
from nightdesk.effects.handlers.outbound import Connection
from nightdesk.effects.handlers.perform import perform
from nightdesk.effects.handlers.reconciling import ReconcilingHttpStepHandler
from nightdesk.processors.charter.handlers import HttpHandler
from tests.effects.handlers.conftest import call
from tests.fakes.action_server import CLOSE_AFTER_ACTING, ActionServer, Conduct


@pytest.fixture
def action(connection: Connection, client: HttpClient) -> ReconcilingHttpStepHandler:
    keys = {"path": "/payments", "idempotent": "none", "reconcile": "/payments/{who}/{idempotency_key}"}
    handler = HttpHandler.model_validate({"type": "http", "connection": "server", "timeout": "1s", **keys})
    return ReconcilingHttpStepHandler(handler, connection, client)


@pytest.mark.parametrize(
    ("status", "expected", "retryable", "calls"),
    [
        (200, "done", False, ["GET"]),
        (404, "unknown", False, ["GET"]),
        (403, "unknown", False, ["GET"]),
        (302, "unknown", False, ["GET"]),
        (429, "unknown", True, ["GET"]),
        (500, "unknown", True, ["GET"]),
        (503, "unknown", True, ["GET"]),
    ],
)
async def test_what_the_other_side_says_decides(
    action: ReconcilingHttpStepHandler,
    server: ActionServer,
    status: int,
    expected: str,
    retryable: bool,
    calls: list[str],
) -> None:
    server.script.append(Conduct(status, b'{"paid": 5}', acts=False))
    result = await perform(action, call(who="c-1", amount=5), begun=True)
    assert (result.status, result.retryable) == (expected, retryable)
    assert [request.method for request in server.requests] == calls
    assert server.requests[0].path == "/payments/c-1/step-1"
    assert result.absent == (status == 404), "what that proves is a question of time"
    if status == 200:
        assert result.result == '{"paid": 5}'


async def test_a_first_call_asks_nobody(action: ReconcilingHttpStepHandler, server: ActionServer) -> None:
    assert (await perform(action, call(who="c-1"), begun=False)).status == "done"
    assert [request.method for request in server.requests] == ["POST"]


async def test_an_answer_that_was_lost_is_asked_for_the_next_time(
    action: ReconcilingHttpStepHandler, server: ActionServer
) -> None:
    server.script.append(CLOSE_AFTER_ACTING)
    lost = await perform(action, call(who="c-1"), begun=False)
    assert (lost.status, lost.retryable) == ("unknown", True)
    assert (await perform(action, call(who="c-1"), begun=True)).status == "done"
    assert [request.method for request in server.requests] == ["POST", "GET"]


async def test_a_system_that_is_away_is_asked_again_later(
    action: ReconcilingHttpStepHandler, server: ActionServer
) -> None:
    server.otherwise = Conduct(hangs=True)
    result = await perform(action, call(who="c-1"), begun=True)
    assert (result.status, result.retryable, result.answered) == ("unknown", True, False)
