"""A model server on loopback that speaks Anthropic's Messages API and OpenAI's chat completions, well or badly.

The tests of `effects/llm`, the benchmarks and the chaos runs ask it; it is a real server because every HTTP client has
to see it. Run alone, `python -m tests.fakes.model_server --port 0 --delay-ms 500` prints its address as the first line.
"""

import argparse
import asyncio
import gzip
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import repeat
from typing import Any, Literal, NamedTuple, Self

import orjson
from aiohttp import web

from tests.fakes.model_requests import problem_with

Api = Literal["anthropic", "openai"]
# What is answered to a prompt: a decision, or any text whatever.
Decide = Callable[[str], Mapping[str, Any] | str]

INPUT_TOKENS, OUTPUT_TOKENS, CACHED_TOKENS, CACHE_WRITTEN_TOKENS = 100, 40, 30, 20
HANG_SECONDS = 3_600
DRIP_SECONDS = 0.05


class Conduct(StrEnum):
    """How the server handles one request."""

    ANSWER = "answer"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    BAD_GATEWAY = "bad_gateway"
    UNAUTHORIZED = "unauthorized"
    BAD_REQUEST = "bad_request"
    TOO_LONG = "too_long"
    REDIRECT = "redirect"
    REFUSE = "refuse"
    TRUNCATE = "truncate"
    MALFORMED_TEXT = "malformed_text"  # a well-formed reply whose text is no JSON
    MALFORMED_BODY = "malformed_body"  # 200 and no JSON
    WRONG_BODY = "wrong_body"  # 200 and JSON that is no reply
    MALFORMED_HTTP = "malformed_http"  # bytes that are no HTTP
    DROP = "drop"  # the connection is closed without an answer
    HANG = "hang"  # never answers
    NO_USAGE = "no_usage"
    ECHO = "echo"  # refuses, and says what it was sent
    CHUNKED = "chunked"  # the usual reply, without a Content-Length
    PACKED = "packed"  # the usual reply as gzip, though nobody asked for it
    BOMB = "bomb"  # gzip of a few kilobytes that unpacks to 60 MB
    HUGE = "huge"  # 300 MB, in chunks
    ENDLESS = "endless"  # chunks without an end
    DRIP = "drip"  # a byte now and then
    DENSE = "dense"  # a reply of five million empty parts
    DENSE_ERROR = "dense_error"  # the same, as an error
    DEEP_ERROR = "deep_error"  # an error that nests without end
    STRANGE_PACKING = "strange_packing"  # a Content-Encoding that nobody knows


STREAMED = frozenset({Conduct.CHUNKED, Conduct.BOMB, Conduct.HUGE, Conduct.ENDLESS, Conduct.DRIP})


class Error(NamedTuple):
    status: int
    type: str
    message: str


ERRORS: Mapping[Conduct, Error] = {
    Conduct.RATE_LIMITED: Error(429, "rate_limit_error", "slow down"),
    Conduct.SERVER_ERROR: Error(500, "api_error", "something broke"),
    Conduct.OVERLOADED: Error(529, "overloaded_error", "overloaded"),
    Conduct.BAD_GATEWAY: Error(502, "api_error", "bad gateway"),
    Conduct.UNAUTHORIZED: Error(401, "authentication_error", "invalid key"),
    Conduct.BAD_REQUEST: Error(400, "invalid_request_error", "unknown field"),
    Conduct.TOO_LONG: Error(400, "invalid_request_error", "prompt is too long: context_length_exceeded"),
}


@dataclass(frozen=True)
class Step:
    """How one request is treated: first the delay, then the conduct."""

    conduct: Conduct = Conduct.ANSWER
    delay_seconds: float = 0.0
    retry_after_seconds: float | str | None = None
    usage: Mapping[str, Any] | None = None  # changes what the reply says about tokens
    stop_reason: str | None = None  # said in place of the usual one
    twice: str = ""  # a key that the reply has twice, once in another notation


@dataclass(frozen=True)
class Seen:
    """A received request."""

    api: Api
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def prompt(self) -> str:
        content = self.body["messages"][-1]["content"]
        return content if isinstance(content, str) else "".join(block["text"] for block in content)


def respond_to_all(prompt: str) -> Mapping[str, Any]:
    """The default decision: every ticket gets an answer."""
    return {
        "action": "respond",
        "confidence": 0.9,
        "parameters": {"text": "Thank you, we are looking into it."},
        "reasoning": "a fake model answers everything alike",
    }


class ModelServer:
    """`async with ModelServer() as server:` then ask `server.url`.

    `script` holds a `Step` for each of the next requests; when it is empty, `usual` applies. `requests` has the last
    `keep_requests`; `count`, `in_flight` and `peak_in_flight` count all that the API accepts; `refused` says why others
    were answered with 400.
    """

    def __init__(
        self, decide: Decide = respond_to_all, usual: Step = Step(), port: int = 0, keep_requests: int = 1_000
    ) -> None:
        self.decide = decide
        self.usual = usual
        self.script: deque[Step] = deque()
        self.requests: deque[Seen] = deque(maxlen=keep_requests)
        self.refused: list[str] = []
        self.count = 0
        self.in_flight = 0
        self.peak_in_flight = 0
        self._port = port
        self._arrived = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def anthropic_url(self) -> str:
        return self.url

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/messages", self._serve_anthropic)
        app.router.add_post("/v1/chat/completions", self._serve_openai)
        app.router.add_get("/count", self._count)
        app.router.add_get("/bodies", self._bodies)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, backlog=4_096)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def wait_for(self, condition: Callable[["ModelServer"], bool]) -> None:
        """Wait until `condition` is true after a request has arrived."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: condition(self))

    def step_for(self, seen: Seen) -> Step:
        """How this request is treated."""
        return self.script.popleft() if self.script else self.usual

    async def _count(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"requests": self.count, "in_flight": self.in_flight, "peak_in_flight": self.peak_in_flight}
        )

    async def _bodies(self, request: web.Request) -> web.Response:
        """The requests as JSON lines, for a search for what should not be in them."""
        return web.Response(body=b"\n".join(orjson.dumps(seen.body) for seen in self.requests))

    async def _serve_anthropic(self, request: web.Request) -> web.StreamResponse:
        return await self._serve("anthropic", request)

    async def _serve_openai(self, request: web.Request) -> web.StreamResponse:
        return await self._serve("openai", request)

    async def _serve(self, api: Api, request: web.Request) -> web.StreamResponse:
        seen = Seen(api, request.headers, orjson.loads(await request.read()))
        step = self.step_for(seen)
        problem = problem_with(api, request.headers, seen.body)
        if problem is not None:
            self.refused.append(problem)
            return _error(api, Error(400, "invalid_request_error", problem), step)
        self.requests.append(seen)
        self.count += 1
        self.in_flight += 1
        async with self._arrived:
            self._arrived.notify_all()
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            if step.conduct is Conduct.HANG or step.delay_seconds:
                await asyncio.sleep(HANG_SECONDS if step.conduct is Conduct.HANG else step.delay_seconds)
            if step.conduct in STREAMED:
                return await self._stream(seen, step, request)
            return self._answer(seen, step, request)
        finally:
            self.in_flight -= 1

    def _answer(self, seen: Seen, step: Step, request: web.Request) -> web.StreamResponse:
        if step.conduct in ERRORS:
            return _error(seen.api, ERRORS[step.conduct], step)
        match step.conduct:
            case Conduct.ECHO:
                sent = next(seen.headers[name] for name in ("x-api-key", "authorization") if name in seen.headers)
                return _error(seen.api, Error(401, "authentication_error", f"no such key: {sent}"), step)
            case Conduct.REDIRECT:
                return web.Response(status=307, headers={"location": f"{self.url}{request.path}"})
            case Conduct.MALFORMED_BODY:
                return web.Response(body=b'{"id": "msg_1", "content": [', content_type="application/json")
            case Conduct.WRONG_BODY:
                return web.json_response({"hello": "world"})
            case Conduct.DENSE | Conduct.DENSE_ERROR | Conduct.DEEP_ERROR:
                return _without_measure(seen.api, step.conduct)
            case Conduct.DROP | Conduct.MALFORMED_HTTP:
                _break_off(request, b"\x00\x01 nonsense\r\n\r\n" if step.conduct is Conduct.MALFORMED_HTTP else b"")
                return web.Response()
        text = "I would rather talk." if step.conduct is Conduct.MALFORMED_TEXT else self._decision(seen)
        reply = _anthropic_reply if seen.api == "anthropic" else _openai_reply
        body = _repeating(orjson.dumps(reply(seen.body["model"], text, step)), step.twice)
        headers = {"request-id": f"req_{self.count}", "x-request-id": f"req_{self.count}"}
        if step.conduct is Conduct.PACKED:
            body, headers = gzip.compress(body), {**headers, "content-encoding": "gzip"}
        if step.conduct is Conduct.STRANGE_PACKING:
            headers["content-encoding"] = "snappy"
        return web.Response(body=body, content_type="application/json", headers=headers)

    async def _stream(self, seen: Seen, step: Step, request: web.Request) -> web.StreamResponse:
        """In chunks, without a length."""
        response = web.StreamResponse(headers={"content-type": "application/json", "x-request-id": "req_1"})
        if step.conduct is Conduct.BOMB:
            response.headers["content-encoding"] = "gzip"
        await response.prepare(request)
        with suppress(ConnectionError):
            for chunk in self._chunks(seen, step):
                await response.write(chunk)
                if step.conduct is Conduct.DRIP:
                    await asyncio.sleep(DRIP_SECONDS)
            await response.write_eof()
        return response

    def _chunks(self, seen: Seen, step: Step) -> Iterator[bytes]:
        match step.conduct:
            case Conduct.BOMB:
                return iter([gzip.compress(b" " * 60_000_000)])
            case Conduct.HUGE:
                return repeat(b" " * 1_000_000, 300)
            case Conduct.ENDLESS:
                return repeat(b" " * 100_000)
            case Conduct.DRIP:
                return repeat(b" ")
        reply = _anthropic_reply if seen.api == "anthropic" else _openai_reply
        body = orjson.dumps(reply(seen.body["model"], self._decision(seen), step))
        return (body[start : start + 7] for start in range(0, len(body), 7))

    def _decision(self, seen: Seen) -> str:
        answer = self.decide(seen.prompt)
        return answer if isinstance(answer, str) else orjson.dumps(answer).decode()


def _break_off(request: web.Request, last_words: bytes) -> None:
    if request.transport is not None:
        request.transport.write(last_words)
        request.transport.close()


def _without_measure(api: Api, conduct: Conduct) -> web.Response:
    """JSON that is small on the network and large when it is parsed, or that no parser can follow."""
    if conduct is Conduct.DEEP_ERROR:
        return web.Response(status=500, body=b"[" * 10_000_000)
    name = b"content" if api == "anthropic" else b"choices"
    body = b'{"' + name + b'": [' + b"{}," * 5_000_000 + b"{}]}"
    return web.Response(status=200 if conduct is Conduct.DENSE else 500, body=body)


def _error(api: Api, error: Error, step: Step) -> web.Response:
    headers = {} if step.retry_after_seconds is None else {"retry-after": str(step.retry_after_seconds)}
    detail: dict[str, Any] = {"type": error.type, "message": error.message}
    body = {"type": "error", "error": detail} if api == "anthropic" else {"error": detail}
    return web.json_response(body, status=error.status, headers=headers)


def _anthropic_reply(model: str, text: str, step: Step) -> dict[str, Any]:
    conduct = step.conduct
    stop_reason = {Conduct.TRUNCATE: "max_tokens", Conduct.REFUSE: "refusal"}.get(conduct, "end_turn")
    reply = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [] if conduct is Conduct.REFUSE else [{"type": "text", "text": _cut(text, conduct)}],
        "stop_reason": step.stop_reason or stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": INPUT_TOKENS - CACHED_TOKENS - CACHE_WRITTEN_TOKENS,
            "output_tokens": OUTPUT_TOKENS,
            "cache_read_input_tokens": CACHED_TOKENS,
            "cache_creation_input_tokens": CACHE_WRITTEN_TOKENS,
        },
    }
    return _counted(reply, step)


def _openai_reply(model: str, text: str, step: Step) -> dict[str, Any]:
    conduct = step.conduct
    refused = conduct is Conduct.REFUSE
    finish_reason = {Conduct.TRUNCATE: "length"}.get(conduct, "stop")
    message = {
        "role": "assistant",
        "content": None if refused else _cut(text, conduct),
        "refusal": "I cannot help with that." if refused else None,
    }
    reply = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": step.stop_reason or finish_reason}],
        "usage": {
            "prompt_tokens": INPUT_TOKENS,
            "completion_tokens": OUTPUT_TOKENS,
            "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
        },
    }
    return _counted(reply, step)


def _repeating(body: bytes, key: str) -> bytes:
    """The body with the first of these keys twice."""
    return (
        body.replace(f'"{key}":'.encode(), f'"\\u{ord(key[0]):04x}{key[1:]}":null,"{key}":'.encode(), 1)
        if key
        else body
    )


def _counted(reply: dict[str, Any], step: Step) -> dict[str, Any]:
    """The reply with the step's token counts."""
    if step.conduct is Conduct.NO_USAGE:
        return {key: value for key, value in reply.items() if key != "usage"}
    return reply if step.usage is None else {**reply, "usage": {**reply["usage"], **step.usage}}


def _cut(text: str, conduct: Conduct) -> str:
    return text[: len(text) // 2] if conduct is Conduct.TRUNCATE else text


async def _serve_until_stopped(port: int, delay_seconds: float) -> None:
    async with ModelServer(usual=Step(delay_seconds=delay_seconds), port=port, keep_requests=1) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="how long each answer takes")
    arguments = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve_until_stopped(arguments.port, arguments.delay_ms / 1_000))


if __name__ == "__main__":
    main()
