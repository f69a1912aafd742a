"""An outside system on loopback that counts what is done to it, and honours `Idempotency-Key`, well or badly.

The tests of `effects/actions`, the benchmarks and the chaos runs post to it. It speaks just enough HTTP/1.1, by hand,
because it shares the processor with what it measures. By itself: `python -m tests.fakes.action_server --port 0` prints
its address as the first line; `GET /count` there gives the totals and `GET /effects` every effect.
"""

import argparse
import asyncio
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self, cast

import orjson
import uvloop

MAX_HEAD_BYTES = 65_536


class Request(NamedTuple):
    """What arrived. Names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str | None:
        return self.headers.get("idempotency-key")


@dataclass(frozen=True, slots=True)
class Conduct:
    """What the server does with one request. `body` None is the effect as JSON; it acts when `acts`, then answers.

    `delay_seconds` passes between the two; `closes` cuts the connection instead of answering, `hangs` does nothing.
    """

    status: int = 200
    body: bytes | None = None
    acts: bool = True
    delay_seconds: float = 0.0
    closes: bool = False
    hangs: bool = False
    headers: tuple[tuple[str, str], ...] = ()


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
    """`repeated` are requests with a key that was acted on before: answered again and not acted on."""

    requests: int = 0
    repeated: int = 0
    effects: list[dict[str, Any]] = field(default_factory=list)
    by_key: dict[str, bytes] = field(default_factory=dict)

    @property
    def executed_twice(self) -> int:
        """Effects beyond the first of their key: what must never be."""
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
    off every request acts.
    """

    def __init__(self, script: Iterable[Conduct] = (), otherwise: Conduct = ANSWER, honours_keys: bool = True) -> None:
        self.script = deque(script)
        self.otherwise = otherwise
        self.honours_keys = honours_keys
        self.tally = Tally()
        self.requests: list[Request] = []
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
        """Act, and say how to answer; `body` is set."""
        if request.method == "GET" and request.path in ("/count", "/effects"):
            shown = self.tally.totals() if request.path == "/count" else self.tally.effects
            return Conduct(body=orjson.dumps(shown))
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
    return Conduct(
        conduct.status, body, conduct.acts, conduct.delay_seconds, conduct.closes, conduct.hangs, conduct.headers
    )


class _Connection(asyncio.Protocol):
    """One connection: reads requests with a Content-Length, answers them in order."""

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
        body = conduct.body or b""
        extra = "".join(f"{name}: {value}\r\n" for name, value in conduct.headers)
        head = (
            f"HTTP/1.1 {conduct.status} Answer\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{extra}\r\n"
        )
        self._transport.write(head.encode() + body)

    def _take(self) -> Request | None:
        """The next whole request of the buffer, if there is one."""
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
