"""An outside system on loopback that counts what is done to it, and honours `Idempotency-Key`, well or badly.

The tests of `effects/handlers`, the benchmarks and the chaos runs call it. It implements only the needed part of
HTTP/1.1 by hand, because it shares the CPU with what it measures. Run alone, `python -m tests.fakes.action_server
--port 0` prints its address as the first line; `GET /count` there returns the totals and `GET /effects` every effect.
"""

import argparse
import asyncio
import gzip
import re
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Self, cast

import orjson
import uvloop

MAX_HEAD_BYTES = 65_536
CHUNK_BYTES = 1_000
_KEY = re.compile(r"[!-~]{1,255}")


class Request(NamedTuple):
    """A received request. Names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str | None:
        return self.headers.get("idempotency-key")


Way = Literal["plain", "chunked", "gzip", "until_close", "cut"]


@dataclass(frozen=True, slots=True)
class Conduct:
    """How the server handles one request. `body` None is the effect as JSON; it acts if `acts`, then answers.

    `delay_seconds` passes between the two; `closes` cuts the connection instead of answering, `hangs` does nothing.
    `way` is how the body is sent: `plain` with its length, `chunked`, `gzip`, `until_close` (neither length nor
    chunks), `cut` (less than was promised, then the connection is closed).
    """

    status: int = 200
    body: bytes | None = None
    acts: bool = True
    delay_seconds: float = 0.0
    closes: bool = False
    hangs: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    way: Way = "plain"


ANSWER = Conduct()
REFUSE = Conduct(422, b'{"error": "no"}', acts=False)
TOO_MANY = Conduct(429, b"slow down", acts=False, headers=(("Retry-After", "7"),))
UNAVAILABLE = Conduct(503, b"later", acts=False)
BREAK = Conduct(500, b"broken")  # after the deed
CLOSE_AFTER_ACTING = Conduct(closes=True)
CLOSE_AFTER_READING = Conduct(acts=False, closes=True)
HANG = Conduct(hangs=True)


@dataclass(slots=True)
class Tally:
    """`repeated` are requests with a key that was executed before: answered again and not executed."""

    requests: int = 0
    repeated: int = 0
    effects: list[dict[str, Any]] = field(default_factory=list)
    by_key: dict[str, bytes] = field(default_factory=dict)

    @property
    def executed_twice(self) -> int:
        """Effects beyond the first of their key, of which there must be none."""
        return sum(count - 1 for key, count in Counter(effect["key"] for effect in self.effects).items() if key)

    def totals(self) -> dict[str, int]:
        return {
            "requests": self.requests,
            "distinct": len(self.by_key),
            "repeated": self.repeated,
            "effects": len(self.effects),
            "executed_twice": self.executed_twice,
        }


class ActionServer:
    """Serves inside `async with` on a port of its own (or `port`), at `url`.

    `script` holds the conduct of the next requests, first in first out; after it comes `otherwise`. With `honours_keys`
    off every request is executed.
    """

    def __init__(self, script: Iterable[Conduct] = (), otherwise: Conduct = ANSWER, honours_keys: bool = True) -> None:
        self.script = deque(script)
        self.otherwise = otherwise
        self.honours_keys = honours_keys
        self.tally = Tally()
        self.requests: list[Request] = []
        self.refused: list[str] = []  # what was wrong with requests that no server would take
        self.connections = 0
        self.arrived = asyncio.Event()  # set by each request
        self.keeps_requests = True
        self.url = ""
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.get_running_loop().create_server(self._connect, "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for connection in tuple(self._open):
            connection.close()
        await self._server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def effects(self, path: str) -> list[dict[str, Any]]:
        return [effect for effect in self.tally.effects if effect["path"] == path]

    def handle(self, request: Request) -> Conduct:
        """Execute the request, and return how to answer it, with its `body`."""
        if request.method == "GET" and request.path in ("/count", "/effects"):
            shown = self.tally.totals() if request.path == "/count" else self.tally.effects
            return Conduct(body=orjson.dumps(shown))
        problem = problem_with(request)
        if problem is not None:
            self.refused.append(problem)
            return Conduct(400, orjson.dumps({"error": problem}), acts=False)
        self.tally.requests += 1
        self.arrived.set()
        if self.keeps_requests:
            self.requests.append(request)
        conduct = self.script.popleft() if self.script else self.otherwise
        body = self._act(request) if conduct.acts and not conduct.hangs else b""
        return conduct if conduct.body is not None else _with_body(conduct, body)

    def _act(self, request: Request) -> bytes:
        earlier = self.tally.by_key.get(request.key) if request.key and self.honours_keys else None
        if earlier is not None:
            self.tally.repeated += 1
            return earlier
        body = orjson.loads(request.body) if request.body else None
        effect = {
            "id": f"effect-{len(self.tally.effects) + 1}",
            "method": request.method,
            "path": request.path,
            "key": request.key,
            "body": body,
        }
        self.tally.effects.append(effect)
        answer = orjson.dumps(effect)
        if request.key:
            self.tally.by_key[request.key] = answer
        return answer

    def _connect(self) -> "_Connection":
        return _Connection(self)

    def opened(self, connection: "_Connection") -> None:
        self.connections += 1
        self._open.add(connection)

    def closed(self, connection: "_Connection") -> None:
        self._open.discard(connection)


def _with_body(conduct: Conduct, body: bytes) -> Conduct:
    if conduct is ANSWER:  # the common case, without the price of `replace`
        return Conduct(body=body)
    return replace(conduct, body=body)


def problem_with(request: Request) -> str | None:
    """The reason for which a strict server answers 400."""
    if "host" not in request.headers:
        return "host is missing"
    if request.key is not None and not _KEY.fullmatch(request.key):
        return f"idempotency-key: 1 to 255 visible characters, not {request.key!r}"
    if request.body and request.headers.get("content-type") != "application/json":
        return "content-type: application/json is missing"
    return None


def _on_the_wire(conduct: Conduct) -> bytes:
    """Head and body of a response."""
    body, extra = conduct.body or b"", "".join(f"{name}: {value}\r\n" for name, value in conduct.headers)
    if conduct.way == "gzip":
        body, extra = gzip.compress(body), extra + "Content-Encoding: gzip\r\n"
    head = f"HTTP/1.1 {conduct.status} Answer\r\nContent-Type: application/json\r\n{extra}"
    if conduct.way == "chunked":
        pieces = [body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES)]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n"
    if conduct.way == "until_close":
        return f"{head}Connection: close\r\n\r\n".encode() + body
    length = len(body) + (100 if conduct.way == "cut" else 0)
    return f"{head}Content-Length: {length}\r\n\r\n".encode() + body


class _Connection(asyncio.Protocol):
    """One connection: reads requests with a Content-Length and answers them in order."""

    def __init__(self, server: ActionServer) -> None:
        self._server = server
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its type
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.closed(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def _next(self) -> None:
        while not self._busy and (request := self._take()) is not None:
            conduct = self._server.handle(request)
            self._busy = conduct.delay_seconds > 0 or conduct.hangs
            if conduct.delay_seconds:
                asyncio.get_running_loop().call_later(conduct.delay_seconds, self._late, conduct)
            elif not conduct.hangs:
                self._answer(conduct)

    def _late(self, conduct: Conduct) -> None:
        self._busy = False
        self._answer(conduct)
        self._next()

    def _answer(self, conduct: Conduct) -> None:
        if self._transport is None:
            return
        if conduct.closes:
            self._transport.abort()
            return
        self._transport.write(_on_the_wire(conduct))
        if conduct.way in ("until_close", "cut"):
            self._transport.close()

    def _take(self) -> Request | None:
        """The next complete request of the buffer, if there is one."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                self.close()
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        whole = end + 4 + length
        if len(self._buffer) < whole:
            return None
        body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
        method, path, _ = first.split(" ", 2)
        return Request(method, path, headers, body)


async def _serve(port: int, otherwise: Conduct) -> None:
    server = ActionServer(otherwise=otherwise)
    server.keeps_requests = False
    await server.start(port)
    print(server.url, flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=int, default=0)
    arguments = parser.parse_args()
    with suppress(KeyboardInterrupt):
        uvloop.run(_serve(arguments.port, Conduct(delay_seconds=arguments.delay_ms / 1000)))


if __name__ == "__main__":
    main()
