"""Calls over real HTTP: what goes out, and what each way of answering, or not answering, comes to."""

import asyncio
import json

import orjson
import pytest

from effects.actions.http import HttpAction, HttpClient
from effects.actions.outbound import Connection
from effects.actions.protocol import Result
from processors.charter.playbooks import HttpHandler
from tests.effects.actions.conftest import Build, call
from tests.fakes import action_server
from tests.fakes.action_server import ActionServer, Conduct


async def test_what_goes_out(build: Build, server: ActionServer) -> None:
    result = await build("/tickets/{ticket}/replies").run(call(ticket="a/b ü", text="hello"))
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/tickets/a%2Fb%20%C3%BC/replies")
    assert orjson.loads(request.body) == {"text": "hello"}
    assert {name: request.headers[name] for name in ("idempotency-key", "authorization", "content-type")} == {
        "idempotency-key": "step-1",
        "authorization": "Bearer secret",
        "content-type": "application/json",
    }
    assert request.headers["traceparent"] == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert result.status == "done"
    assert json.loads(result.result)["id"] == "effect-1"


async def test_a_get_asks_with_a_query_and_has_no_body(build: Build, server: ActionServer) -> None:
    await build("/c/{id}", method="GET", read_only=True).run(call(id=7, since="2026 01", open=True, none=None))
    (request,) = server.requests
    assert (request.path, request.body) == ("/c/7?since=2026+01&open=true", b"")


async def test_a_body_template_sees_the_values(build: Build, server: ActionServer) -> None:
    body = {"to": "{{ parameters.ticket }}", "n": "{{ parameters.n }}"}
    await build("/x/{ticket}", body=body).run(call(ticket="t", n=3))
    assert orjson.loads(server.requests[0].body) == {"to": "t", "n": 3}


@pytest.mark.parametrize(
    ("status", "idempotent", "expected", "retryable"),
    [
        (200, "none", "done", False),
        (201, "key", "done", False),
        (204, "key", "done", False),
        (301, "key", "failed", False),
        (302, "none", "failed", False),
        (400, "key", "failed", False),
        (404, "none", "failed", False),
        (408, "none", "failed", True),
        (409, "key", "unknown", True),
        (409, "natural", "failed", False),
        (409, "none", "failed", False),
        (425, "none", "failed", True),
        (429, "none", "failed", True),
        (500, "key", "unknown", True),
        (500, "natural", "unknown", True),
        (500, "none", "unknown", False),
        (502, "none", "unknown", False),
        (503, "none", "failed", True),
        (504, "none", "unknown", False),
        (599, "key", "unknown", True),
    ],
)
async def test_statuses(
    build: Build, server: ActionServer, status: int, idempotent: str, expected: str, retryable: bool
) -> None:
    server.otherwise = Conduct(status, b"" if status == 204 else b'{"said": "so"}')
    result = await build(idempotent=idempotent).run(call())
    assert (result.status, result.retryable) == (expected, retryable)
    assert (result.error is None) == (expected == "done")
    if result.error is not None:
        assert str(status) in result.error
        assert "so" in result.error


@pytest.mark.parametrize(
    ("status", "answered"), [(200, True), (404, True), (408, True), (429, False), (500, False), (503, False)]
)
async def test_a_status_says_whether_the_other_side_works(
    build: Build, server: ActionServer, status: int, answered: bool
) -> None:
    server.otherwise = Conduct(status, b"{}")
    assert (await build().run(call())).answered is answered


async def test_how_long_the_other_side_asks_to_wait_is_told(build: Build, server: ActionServer) -> None:
    server.script.append(action_server.TOO_MANY)
    assert (await build().run(call())).retry_after_seconds == 7


LOST = [action_server.CLOSE_AFTER_ACTING, action_server.CLOSE_AFTER_READING, action_server.HANG]


@pytest.mark.parametrize("conduct", LOST, ids=["acted", "read", "hangs"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_an_answer_lost_on_the_way(build: Build, server: ActionServer, conduct: Conduct, method: str) -> None:
    """May it be done again? Only where that is harmless; elsewhere there is one request and a person sees it."""
    server.otherwise = conduct
    repeatable = await build(method=method, timeout="1s").run(call())
    assert (repeatable.status, repeatable.retryable, repeatable.answered) == ("unknown", True, False)
    before = len(server.requests)
    once = await build(method=method, idempotent="none", timeout="1s").run(call())
    assert (once.status, once.retryable) == ("unknown", False)
    assert len(server.requests) == before + 1


async def test_a_call_that_only_reads_may_be_lost(build: Build, server: ActionServer) -> None:
    server.script.append(action_server.CLOSE_AFTER_READING)
    result = await build(idempotent="none", read_only=True).run(call())
    assert (result.status, result.retryable) == ("unknown", True)


async def test_nobody_listening_is_known_not_to_have_happened(connection: Connection) -> None:
    async with ActionServer() as gone:
        away = Connection(gone.url, allow_private=True)
    client = HttpClient([away])
    handler = HttpHandler(type="http", connection="away", path="/x", idempotent="none")
    result = await HttpAction(handler, away, client).run(call())
    await client.aclose()
    assert (result.status, result.retryable, result.answered) == ("failed", True, False)


async def test_a_call_that_cannot_be_repeated_has_a_connection_of_its_own(build: Build, server: ActionServer) -> None:
    action = build(idempotent="none")
    for key in "abc":
        await action.run(call(key))
    assert server.connections == 3
    action = build()
    for key in "def":
        await action.run(call(key))
    assert server.connections == 4


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (b"", "null"),
        (b'{"a": 1}', '{"a": 1}'),
        (b"thanks", '"thanks"'),
        (b"\xff", '"\\ufffd"'),
    ],
)
async def test_the_result_is_json_whatever_comes(build: Build, server: ActionServer, body: bytes, result: str) -> None:
    server.script.append(Conduct(body=body))
    got = await build().run(call())
    assert got.status == "done"
    assert json.loads(got.result) == json.loads(result)


@pytest.mark.parametrize("size", [64_000, 64_001, 2_000_000])
async def test_a_huge_answer_is_done_and_cut(build: Build, server: ActionServer, size: int) -> None:
    server.script.append(Conduct(body=b'"' + b"x" * (size - 2) + b'"'))
    got = await build().run(call())
    assert got.status == "done"
    assert len(got.result.encode()) <= 64_000
    assert json.loads(got.result).endswith("…") == (size > 64_000)


async def test_values_that_make_no_request_are_not_sent(build: Build, server: ActionServer) -> None:
    result = await build("/tickets/{ticket}").run(call(ticket="../admin"))
    assert result == Result("failed", error=result.error)
    assert "ticket" in (result.error or "")
    assert server.connections == 0


async def test_a_redirect_is_not_followed(build: Build, server: ActionServer) -> None:
    async with ActionServer() as other:
        server.script.append(Conduct(307, b"", headers=(("Location", f"{other.url}/things"),)))
        result = await build().run(call())
        assert (result.status, result.retryable, other.connections) == ("failed", False, 0)


async def test_proxies_of_the_environment_are_not_used(
    build: Build, server: ActionServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ActionServer() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert (await build().run(call())).status == "done"
        assert (proxy.connections, len(server.requests)) == (0, 1)


async def test_a_cancelled_call_is_cancelled(build: Build, server: ActionServer) -> None:
    server.otherwise = action_server.HANG
    running = asyncio.create_task(build().run(call()))
    await server.arrived.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_many_at_once(build: Build, server: ActionServer) -> None:
    action = build()
    results = await asyncio.gather(*(action.run(call(f"step-{number}")) for number in range(500)))
    assert {result.status for result in results} == {"done"}
    assert server.tally.totals() == {
        "requests": 500, "distinct": 500, "repeated": 0, "effects": 500, "executed_twice": 0
    }  # fmt: skip


@pytest.mark.parametrize("status", [200, 422, 500])
async def test_a_token_that_comes_back_is_hidden(server: ActionServer, build: Build, status: int) -> None:
    """Some servers answer with the headers they were sent; what they answer is recorded and put into prompts."""
    server.otherwise = Conduct(status, b'{"authorization": "Bearer secret"}')
    result = await build().run(call())
    assert "Bearer secret" not in repr(result)
    assert "Bearer [secret]" in (result.result + (result.error or ""))
