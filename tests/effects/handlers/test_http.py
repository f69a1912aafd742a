"""Calls over real HTTP: what is sent, and the result of each kind of answer, or of none."""

import asyncio
import json
from typing import Any

import orjson
import pytest

from nightdesk.effects.handlers.http import HttpStepHandler
from nightdesk.effects.handlers.http_client import HttpClient
from nightdesk.effects.handlers.outbound import Connection
from nightdesk.effects.handlers.protocol import Previews
from nightdesk.processors.charter.handlers import HttpHandler
from nightdesk.processors.playbook import StepResult
from tests.effects.handlers.conftest import Build, call
from tests.fakes import action_server
from tests.fakes.action_server import ActionServer, Conduct, Way


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


@pytest.mark.parametrize(("path", "method"), [("/x/{n}", "POST"), ("/x", "GET"), ("/x", "DELETE"), ("/x", "PATCH")])
async def test_a_preview_is_what_would_be_sent(build: Build, server: ActionServer, path: str, method: str) -> None:
    values: dict[str, Any] = {"n": 3, "text": "größe ½"}
    built = build(path, method=method)
    assert isinstance(built, Previews)
    shown = orjson.loads(built.preview(call(**values)).result)
    assert server.requests == []
    await built.run(call(**values))
    (request,) = server.requests
    assert (shown["method"], shown["path"]) == (request.method, request.path)
    assert shown["body"] == (orjson.loads(request.body) if request.body else None)


def test_a_preview_says_why_nothing_could_be_sent(build: Build) -> None:
    built = build("/x/{n}")
    assert built.preview(call(n="")).status == "failed"


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
        (101, "none", "unknown", False),
        (301, "key", "unknown", True),
        (302, "none", "unknown", False),
        (303, "natural", "unknown", True),
        (304, "none", "unknown", False),
        (400, "key", "failed", False),
        (404, "natural", "failed", False),
        (404, "none", "unknown", False),
        (408, "key", "unknown", True),
        (408, "none", "unknown", False),
        (409, "key", "unknown", True),
        (409, "natural", "failed", False),
        (409, "none", "unknown", False),
        (422, "none", "unknown", False),
        (425, "none", "unknown", False),
        (429, "key", "unknown", True),
        (460, "natural", "unknown", True),
        (499, "key", "unknown", True),
        (499, "none", "unknown", False),
        (429, "none", "unknown", False),
        (500, "key", "unknown", True),
        (500, "natural", "unknown", True),
        (500, "none", "unknown", False),
        (502, "none", "unknown", False),
        (503, "key", "unknown", True),
        (503, "none", "unknown", False),
        (504, "none", "unknown", False),
        (599, "key", "unknown", True),
        (999, "none", "unknown", False),
    ],
)
async def test_statuses(
    build: Build, server: ActionServer, status: int, idempotent: str, expected: str, retryable: bool
) -> None:
    server.otherwise = Conduct(status, b"" if status in (101, 204, 304) else b'{"said": "so"}')
    result = await build(idempotent=idempotent).run(call())
    assert (result.status, result.retryable) == (expected, retryable)
    assert (result.error is None) == (expected == "done")
    if result.error is not None:
        assert str(status) in result.error
        assert status in (101, 304) or "so" in result.error


@pytest.mark.parametrize("status", [100, 300, 302, 400, 401, 404, 408, 409, 422, 425, 429, 500, 502, 503, 504])
async def test_no_status_proves_that_a_call_without_a_key_did_nothing(
    build: Build, server: ActionServer, status: int
) -> None:
    server.otherwise = Conduct(status, b"{}")  # after the deed
    result = await build(idempotent="none", timeout="1s").run(call())
    assert (result.status, result.retryable) == ("unknown", False)
    assert len(server.tally.effects) == 1


@pytest.mark.parametrize(
    ("status", "retryable"), [(400, False), (404, False), (422, False), (429, True), (502, True), (503, True)]
)
async def test_a_status_that_the_charter_lists_is_believed(
    build: Build, server: ActionServer, status: int, retryable: bool
) -> None:
    server.otherwise = Conduct(status, b"{}", acts=False)
    result = await build(idempotent="none", did_not_happen=[400, 404, 422, 429, 502, 503]).run(call())
    assert (result.status, result.retryable) == ("failed", retryable)


async def test_a_get_that_acts_is_no_read(build: Build, server: ActionServer) -> None:
    """The charter says `none` for a reason: some old systems act on a GET."""
    server.otherwise = action_server.CLOSE_AFTER_ACTING
    action = build(method="GET", idempotent="none")
    result = await action.run(call())
    assert (action.repeatable, result.status, result.retryable) == (False, "unknown", False)
    assert len(server.requests) == 1


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
    """There is one request; the transitions of the execution decide whether it is made again."""
    server.otherwise = conduct
    repeatable = await build(method=method, timeout="1s").run(call())
    assert (repeatable.status, repeatable.retryable, repeatable.answered) == ("unknown", True, False)
    assert len(server.requests) == 1
    once = await build(method=method, idempotent="none", timeout="1s").run(call())
    assert (once.status, once.retryable) == ("unknown", False)
    assert len(server.requests) == 2


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("idempotent", ["key", "natural"])
@pytest.mark.parametrize("status", [404, 409, 422])
async def test_no_second_answer_hides_a_lost_one(
    build: Build, server: ActionServer, method: str, idempotent: str, status: int
) -> None:
    """The first request was executed. Asked again, the other side might say that there is nothing to delete."""
    server.script.append(action_server.CLOSE_AFTER_ACTING)
    server.otherwise = Conduct(status, b"{}", acts=False)
    result = await build(method=method, idempotent=idempotent).run(call())
    assert (result.status, result.retryable, len(server.tally.effects)) == ("unknown", True, 1)


async def test_a_call_that_only_reads_may_be_lost(build: Build, server: ActionServer) -> None:
    server.script.append(action_server.CLOSE_AFTER_READING)
    result = await build(idempotent="none", read_only=True).run(call())
    assert (result.status, result.retryable) == ("unknown", True)


async def test_nobody_listening_is_known_not_to_have_happened(connection: Connection) -> None:
    async with ActionServer() as gone:
        away = Connection(gone.url, allow_private=True)
    client = HttpClient([away])
    handler = HttpHandler(type="http", connection="away", path="/x", idempotent="none")
    result = await HttpStepHandler(handler, away, client).run(call())
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


WAYS: tuple[Way, ...] = ("plain", "chunked", "gzip", "until_close")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [2, 64_000, 64_001, 2_000_000])
@pytest.mark.parametrize("idempotent", ["key", "none"])
async def test_however_an_answer_comes_it_is_done_and_bounded(
    build: Build, server: ActionServer, way: Way, size: int, idempotent: str
) -> None:
    server.script.append(Conduct(body=b'"' + b"x" * (size - 2) + b'"', way=way))
    got = await build(idempotent=idempotent).run(call())
    assert (got.status, got.answered) == ("done", True)
    assert len(got.result.encode()) <= 64_000
    assert json.loads(got.result).endswith("…") == (size > 64_000)
    assert (await build(idempotent=idempotent).run(call("step-2"))).status == "done"
    assert server.refused == []


async def test_an_answer_that_unpacks_to_megabytes_is_cut(build: Build, server: ActionServer) -> None:
    server.script.append(Conduct(body=b"0" * 60_000_000, way="gzip"))
    got = await build().run(call())
    assert got.status == "done"
    assert len(got.result.encode()) <= 64_000


async def test_an_answer_in_a_strange_packing_is_done_and_says_so(build: Build, server: ActionServer) -> None:
    server.script.append(Conduct(body=b"???", headers=(("Content-Encoding", "snappy"),)))
    got = await build().run(call())
    assert got.status == "done"
    assert "snappy" in got.result


@pytest.mark.parametrize(("idempotent", "retryable"), [("key", True), ("none", False)])
async def test_an_answer_that_was_cut_on_the_way_says_nothing(
    build: Build, server: ActionServer, idempotent: str, retryable: bool
) -> None:
    server.script.append(Conduct(body=b'{"id": 1}', way="cut"))
    got = await build(idempotent=idempotent).run(call())
    assert (got.status, got.retryable) == ("unknown", retryable)


@pytest.mark.parametrize("header", ["inf", "1e20", "-1", "9" * 20])
async def test_nobody_keeps_us_away_for_ever(build: Build, server: ActionServer, header: str) -> None:
    server.script.append(Conduct(429, b"", headers=(("Retry-After", header),)))
    seconds = (await build().run(call())).retry_after_seconds
    assert seconds is None or 0 <= seconds <= 3_600


async def test_a_head_without_end_is_no_answer(build: Build, server: ActionServer) -> None:
    server.script.append(Conduct(headers=(("X-Long", "x" * 100_000),)))
    got = await build().run(call())
    assert (got.status, got.retryable) == ("unknown", True)
    assert len(got.error or "") < 1_000


async def test_values_that_make_no_request_are_not_sent(build: Build, server: ActionServer) -> None:
    result = await build("/tickets/{ticket}").run(call(ticket="../admin"))
    assert result == StepResult("failed", error=result.error)
    assert "ticket" in (result.error or "")
    assert server.connections == 0


async def test_a_redirect_is_not_followed(build: Build, server: ActionServer) -> None:
    async with ActionServer() as other:
        server.script.append(Conduct(307, b"", headers=(("Location", f"{other.url}/things"),)))
        result = await build().run(call())
        assert (result.status, other.connections) == ("unknown", 0)


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
    """Some servers answer with the headers that they received; answers are recorded and put into prompts."""
    server.otherwise = Conduct(status, b'{"authorization": "Bearer secret"}')
    result = await build().run(call())
    assert "Bearer secret" not in repr(result)
    assert "Bearer [secret]" in (result.result + (result.error or ""))


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nx: Bearer secret\0\r\n\r\n",
        b"HTTP/1.1 secret OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nauthorization secret: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nsecret\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 94 + b"secret" + b"a" * 10_000,
    ],
)
async def test_an_error_quotes_nothing_of_a_response_that_is_no_http(response: bytes) -> None:
    """It may have our token, whole or cut, which cannot be recognised then."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = Connection(f"http://127.0.0.1:{port}", token="secret", allow_private=True)
        client = HttpClient([connection])
        handler = HttpHandler(type="http", connection="server", path="/", timeout=5)
        result = await HttpStepHandler(handler, connection, client).run(call())
        await client.aclose()
    assert result.status == "unknown"
    assert "no answer: " in (result.error or "")
    assert "sec" not in (result.error or "")
