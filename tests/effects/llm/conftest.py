"""Shared by the provider tests: a fake server, and a guard against reaching a real host."""

import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from nightdesk.processors.model import ModelRequest
from tests.fakes.model_server import ModelServer

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class LeftTheMachine(BaseException):
    """Not an `Exception`, because no client may take it for a connection error."""


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A connection or name lookup that leaves the machine fails the test, whatever the client does with the error."""
    left: list[str] = []

    def check(host: object) -> None:
        if host not in (*LOOPBACK, None):
            left.append(str(host))
            raise LeftTheMachine(f"a test tried to reach {host}; give the provider the fake server's address")

    class GuardedSocket(socket.socket):
        def connect(self, address: Any) -> None:
            self._check(address)
            super().connect(address)

        def connect_ex(self, address: Any) -> int:
            self._check(address)
            return super().connect_ex(address)

        def _check(self, address: object) -> None:
            if isinstance(address, tuple):
                check(address[0])

    real_lookup = socket.getaddrinfo

    def guarded_lookup(host: object, *args: object, **kwargs: object) -> object:
        check(host.decode() if isinstance(host, bytes) else host)
        return real_lookup(host, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "socket", GuardedSocket)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_lookup)
    yield left
    assert not left, f"a test tried to reach {left}"


@pytest.fixture(autouse=True)
def no_credentials_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The tests do not see the developer's own keys and profiles."""
    for name in ("API_KEY", "AUTH_TOKEN", "BASE_URL", "PROFILE", "IDENTITY_TOKEN", "IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(f"ANTHROPIC_{name}", raising=False)
    monkeypatch.delenv("ANTHROPIC_CONFIG_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as running:
        yield running


@pytest.fixture
def request_() -> ModelRequest:
    return ModelRequest(
        model="claude-sonnet-5-5",
        models={"openai-compatible": "gpt-4o-mini"},
        system="You handle support tickets.",
        prompt="My printer is on fire.",
        answer_schema={
            "type": "object",
            "properties": {
                "action": {"enum": ["respond", "escalate"]},
                "confidence": {"type": "number", "minimum": 0, "maximum": 1},
                "parameters": {"type": "object"},
                "reasoning": {"type": "string"},
            },
            "required": ["action", "confidence", "parameters", "reasoning"],
            "additionalProperties": False,
        },
        max_output_tokens=500,
        timeout_seconds=20,
        effort="low",
    )
