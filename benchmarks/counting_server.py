"""The outside system that the benchmark calls: the tests' action server, which also records when each action arrived.

`benchmarks.pipeline` starts it as a process of its own. `GET /progress` is cheap, because it is asked ten times a
second.
"""

import argparse
import asyncio
import time
from contextlib import suppress
from typing import Any

import orjson
import uvloop

from tests.fakes.action_server import ActionServer, Conduct, Request, Tally


class CountingServer(ActionServer):
    """Acts once for each key, and answers `GET /progress`, `GET /arrivals` and `DELETE /arrivals` (reset)."""

    def __init__(self) -> None:
        super().__init__()
        self.keeps_requests = False
        self._arrived_at: list[float] = []

    def handle(self, request: Request) -> Conduct:
        if request.path in ("/progress", "/arrivals"):
            return Conduct(body=orjson.dumps(self._tell(request)))
        conduct = super().handle(request)
        if len(self.tally.effects) > len(self._arrived_at):
            self._arrived_at.append(time.time())
        return conduct

    def _tell(self, request: Request) -> Any:
        if request.method == "DELETE":
            self.tally = Tally()
            self._arrived_at = []
        if request.path == "/progress":
            return {"executed": len(self.tally.effects), "repeated": self.tally.repeated}
        pairs = zip(self.tally.effects, self._arrived_at, strict=True)
        return [[(effect["body"] or {}).get("subject", ""), at] for effect, at in pairs]


async def _serve(port: int) -> None:
    server = CountingServer()
    await server.start(port)
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    with suppress(KeyboardInterrupt):
        uvloop.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
