"""The guard of these tests: a provider that is given no address would call the real one."""

import socket

import pytest
from pydantic import SecretStr

from nightdesk.effects.llm.anthropic import AnthropicProvider
from nightdesk.processors.model import ModelRequest
from tests.effects.llm.conftest import LeftTheMachine


async def test_a_provider_without_the_fakes_address_is_caught(only_loopback: list[str], request_: ModelRequest) -> None:
    provider = AnthropicProvider(api_key=SecretStr("secret-key"))
    with pytest.raises(LeftTheMachine, match=r"api\.anthropic\.com"):
        await provider.ask(request_)
    await provider.aclose()
    assert only_loopback.pop() == "api.anthropic.com"
    only_loopback.clear()


def test_an_address_is_caught_without_a_lookup(only_loopback: list[str]) -> None:
    with socket.socket() as outside, pytest.raises(LeftTheMachine):
        outside.connect(("192.0.2.1", 443))
    assert only_loopback.pop() == "192.0.2.1"
