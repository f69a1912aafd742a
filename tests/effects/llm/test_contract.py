"""What every provider does: the same tests for all of them, against a real server on loopback."""

import asyncio
import json
import pickle
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from pydantic import SecretStr

from nightdesk.effects.llm.anthropic import AnthropicProvider
from nightdesk.effects.llm.openai import Endpoint, OpenAIProvider
from nightdesk.effects.llm.protocol import MEANINGS, Kind, ModelError, Paid, Provider
from nightdesk.processors.model import ModelRequest
from nightdesk.processors.prices import worst_request_price_microusd
from nightdesk.processors.replies import MAX_ANSWER_CHARACTERS
from tests.fakes.model_server import INPUT_TOKENS, OUTPUT_TOKENS, Conduct, ModelServer, Step

KEY = SecretStr("secret-key")


def ask_anthropic(url: str) -> Provider:
    return AnthropicProvider(api_key=KEY, base_url=url)


def ask_openai(url: str) -> Provider:
    return OpenAIProvider(Endpoint(base_url=f"{url}/v1", api_key=KEY))


class Asked(NamedTuple):
    provider: Provider
    server: ModelServer
    request: ModelRequest


Build = Callable[[str], Provider]


@pytest.fixture(params=[ask_anthropic, ask_openai], ids=["anthropic", "openai"])
def build(request: pytest.FixtureRequest) -> Build:
    chosen: Build = request.param
    return chosen


@pytest.fixture
async def asked(build: Build, server: ModelServer, request_: ModelRequest) -> AsyncIterator[Asked]:
    provider = build(server.url)
    yield Asked(provider, server, request_.for_provider(provider.name))
    await provider.aclose()


async def test_the_answer_comes_back_whole(asked: Asked) -> None:
    reply = await asked.provider.ask(asked.request)
    assert json.loads(reply.text)["action"] == "respond"
    assert (reply.provider, reply.model) == (asked.provider.name, asked.request.model)
    assert reply.stop_reason in ("end_turn", "stop")
    assert reply.request_id == "req_1"
    assert reply.fallbacks == ()
    usage = reply.usage
    assert usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens == INPUT_TOKENS
    assert usage.output_tokens == OUTPUT_TOKENS
    assert 0 < reply.cost_microusd < worst_price(asked.request)


async def test_the_question_arrives_whole(asked: Asked) -> None:
    await asked.provider.ask(asked.request)
    seen = asked.server.requests[0]
    assert seen.prompt == asked.request.prompt
    assert asked.request.system in json.dumps(seen.body)
    assert seen.body["model"] == asked.request.model
    assert seen.body["max_tokens"] == asked.request.max_output_tokens
    assert "traceparent" not in seen.headers
    assert "secret-key" in (seen.headers.get("x-api-key", ""), seen.headers.get("authorization", "")[7:])


FAILURES = {
    Conduct.RATE_LIMITED: Kind.RATE_LIMITED,
    Conduct.SERVER_ERROR: Kind.SERVER_ERROR,
    Conduct.OVERLOADED: Kind.OVERLOADED,
    Conduct.BAD_GATEWAY: Kind.CONNECTION_LOST,
    Conduct.UNAUTHORIZED: Kind.AUTHENTICATION,
    Conduct.BAD_REQUEST: Kind.REJECTED,
    Conduct.TOO_LONG: Kind.CONTEXT_EXCEEDED,
    Conduct.REDIRECT: Kind.MALFORMED_HTTP,
    Conduct.REFUSE: Kind.REFUSED,
    Conduct.TRUNCATE: Kind.TRUNCATED,
    Conduct.MALFORMED_BODY: Kind.MALFORMED_HTTP,
    Conduct.WRONG_BODY: Kind.MALFORMED_HTTP,
}


@pytest.mark.parametrize(("conduct", "kind"), FAILURES.items())
async def test_each_failure_has_its_kind_its_price_and_no_second_try(
    asked: Asked, conduct: Conduct, kind: Kind
) -> None:
    asked.server.script.append(Step(conduct))
    with pytest.raises(ModelError) as caught:
        await asked.provider.ask(asked.request)
    assert caught.value.kind == kind
    assert caught.value.message
    assert asked.server.count == 1
    answered = conduct in (Conduct.REFUSE, Conduct.TRUNCATE)
    if MEANINGS[kind].paid is Paid.UNKNOWN:
        assert caught.value.unanswered_cost_microusd == worst_price(asked.request)
    elif answered:
        assert 0 < caught.value.unanswered_cost_microusd < worst_price(asked.request)
    else:
        assert caught.value.unanswered_cost_microusd == 0


@pytest.mark.parametrize("conduct", [Conduct.DROP, Conduct.MALFORMED_HTTP])
async def test_a_connection_that_breaks_may_have_been_paid(asked: Asked, conduct: Conduct) -> None:
    asked.server.script.append(Step(conduct))
    with pytest.raises(ModelError) as caught:
        await asked.provider.ask(asked.request)
    # Not every HTTP client tells the two apart, and they mean the same.
    assert caught.value.kind in (Kind.CONNECTION_LOST, Kind.MALFORMED_HTTP)
    assert caught.value.unanswered_cost_microusd == worst_price(asked.request)


async def test_an_answer_that_is_no_json_is_an_answer(asked: Asked) -> None:
    asked.server.script.append(Step(Conduct.MALFORMED_TEXT))
    reply = await asked.provider.ask(asked.request)
    assert reply.text == "I would rather talk."


async def test_retry_after_is_passed_on(asked: Asked) -> None:
    asked.server.script.append(Step(Conduct.RATE_LIMITED, retry_after_seconds=7))
    with pytest.raises(ModelError) as caught:
        await asked.provider.ask(asked.request)
    assert caught.value.retry_after_seconds == 7


async def test_no_answer_in_time_is_charged_at_the_worst_price(asked: Asked) -> None:
    asked.server.script.append(Step(Conduct.HANG))
    hurried = asked.request.model_copy(update={"timeout_seconds": 0.2})
    with pytest.raises(ModelError) as caught:
        await asked.provider.ask(hurried)
    assert caught.value.kind is Kind.TIMEOUT
    assert caught.value.unanswered_cost_microusd == worst_price(hurried)


async def test_nobody_listening_costs_nothing(build: Build, request_: ModelRequest) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        provider = build(f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(ModelError) as caught:
            await provider.ask(request_.for_provider(provider.name))
        await provider.aclose()
    assert (caught.value.kind, caught.value.unanswered_cost_microusd) == (Kind.CONNECTION, 0)


async def test_a_model_without_a_price_is_not_asked(asked: Asked) -> None:
    with pytest.raises(ModelError) as caught:
        await asked.provider.ask(asked.request.model_copy(update={"model": "our-own-model"}))
    assert caught.value.kind is Kind.UNKNOWN_PRICE
    assert "decide.prices" in caught.value.message
    assert asked.server.count == 0


async def test_calls_fly_at_once_and_a_cancelled_one_ends(asked: Asked) -> None:
    asked.server.usual = Step(Conduct.HANG)
    calls = [asyncio.create_task(asked.provider.ask(asked.request)) for _ in range(50)]
    await asked.server.wait_for(lambda server: server.in_flight == 50)
    for call in calls:
        call.cancel()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended)
    asked.server.usual = Step()
    assert (await asked.provider.ask(asked.request)).text


def test_an_error_keeps_its_reason_when_it_is_pickled() -> None:
    error = pickle.loads(pickle.dumps(ModelError(Kind.TIMEOUT, "too late", 12, 3.0)))
    assert (error.kind, error.message, error.unanswered_cost_microusd, error.retry_after_seconds) == (
        Kind.TIMEOUT, "too late", 12, 3.0
    )  # fmt: skip


def worst_price(request: ModelRequest) -> int:
    return worst_request_price_microusd(request, datetime.now(UTC))


async def test_an_answer_of_megabytes_is_cut_to_one_that_is_too_long(asked: Asked) -> None:
    """It has to be recorded, and it stays malformed."""
    asked.server.decide = lambda prompt: "x" * 10_000_000
    reply = await asked.provider.ask(asked.request)
    assert len(reply.text) == MAX_ANSWER_CHARACTERS + 1


async def test_a_key_that_comes_back_is_hidden(asked: Asked) -> None:
    asked.server.decide = lambda prompt: f"your key is {KEY.get_secret_value()}"
    assert (await asked.provider.ask(asked.request)).text == "your key is [secret]"
    asked.server.script.append(Step(Conduct.ECHO))
    with pytest.raises(ModelError) as raised:
        await asked.provider.ask(asked.request)
    assert KEY.get_secret_value() not in str(raised.value)
    assert "[secret]" in str(raised.value)
