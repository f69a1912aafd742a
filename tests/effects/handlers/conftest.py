"""Shared by the tests of handlers: a counting server, and handlers that call it."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from nightdesk.effects.handlers.http import HttpStepHandler
from nightdesk.effects.handlers.http_client import HttpClient
from nightdesk.effects.handlers.outbound import Connection
from nightdesk.effects.handlers.protocol import StepCall
from nightdesk.processors.charter.handlers import HttpHandler
from tests.fakes.action_server import ActionServer

Build = Callable[..., HttpStepHandler]


@pytest.fixture
async def server() -> AsyncIterator[ActionServer]:
    async with ActionServer() as running:
        yield running


@pytest.fixture
def connection(server: ActionServer) -> Connection:
    return Connection(server.url, token="secret", allow_private=True)


@pytest.fixture
async def client(connection: Connection) -> AsyncIterator[HttpClient]:
    opened = HttpClient([connection])
    yield opened
    await opened.aclose()


@pytest.fixture
def build(connection: Connection, client: HttpClient) -> Build:
    """An http handler of the server, from a charter's keys."""

    def make(path: str = "/things", timeout: Any = "5s", **keys: Any) -> HttpStepHandler:
        handler = HttpHandler(type="http", connection="server", path=path, timeout=timeout, **keys)
        return HttpStepHandler(handler, connection, client)

    return make


def call(key: str = "step-1", **values: Any) -> StepCall:
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    return StepCall(key, "ticket-1", values, traceparent)
