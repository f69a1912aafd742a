"""What only one of the providers sends."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from nightdesk.effects.llm.anthropic import AnthropicProvider
from nightdesk.effects.llm.openai import Endpoint, OpenAIProvider
from nightdesk.effects.llm.protocol import Kind, ModelError, Provider
from nightdesk.processors.model import ModelRequest, ModelUsage, TokenPrice
from tests.effects.llm.test_contract import worst_price
from tests.fakes.model_server import Conduct, ModelServer, Step


async def sent_to_anthropic(server: ModelServer, request: ModelRequest) -> dict[str, Any]:
    provider = AnthropicProvider(api_key=SecretStr("key"), base_url=server.anthropic_url)
    await provider.ask(request)
    await provider.aclose()
    return server.requests[-1].body


async def sent_to_openai(server: ModelServer, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
    provider = OpenAIProvider(endpoint)
    await provider.ask(request.for_provider(provider.name))
    await provider.aclose()
    return server.requests[-1].body


async def test_anthropic_caches_the_system_part_and_takes_the_schema(
    server: ModelServer, request_: ModelRequest
) -> None:
    body = await sent_to_anthropic(server, request_)
    assert body["system"] == [{"type": "text", "text": request_.system, "cache_control": {"type": "ephemeral"}}]
    assert body["output_config"]["effort"] == "low"
    schema = body["output_config"]["format"]["schema"]
    assert schema["properties"]["action"] == {"enum": ["respond", "escalate"]}
    # A bound that the API refuses has moved into the words.
    assert schema["properties"]["confidence"] == {"type": "number", "description": "{minimum: 0, maximum: 1}"}
    assert "temperature" not in body


@pytest.mark.parametrize(
    ("stop_reason", "kind"),
    [
        ("pause_turn", Kind.TRUNCATED),
        ("model_context_window_exceeded", Kind.CONTEXT_EXCEEDED),
        ("content_filter", Kind.REFUSED),
    ],
)
async def test_an_answer_that_stopped_short_is_paid_and_not_used(
    server: ModelServer, request_: ModelRequest, stop_reason: str, kind: Kind
) -> None:
    server.usual = Step(stop_reason=stop_reason)
    provider: Provider = AnthropicProvider(api_key=SecretStr("key"), base_url=server.anthropic_url)
    if stop_reason == "content_filter":
        provider = OpenAIProvider(Endpoint(server.openai_url))
    with pytest.raises(ModelError, match=stop_reason) as caught:
        await provider.ask(request_.for_provider(provider.name))
    await provider.aclose()
    assert caught.value.kind is kind
    assert caught.value.unanswered_cost_microusd > 0


async def test_anthropic_without_credentials_says_so(server: ModelServer, request_: ModelRequest) -> None:
    provider = AnthropicProvider(base_url=server.anthropic_url)
    with pytest.raises(ModelError) as caught:
        await provider.ask(request_)
    await provider.aclose()
    assert caught.value.kind is Kind.AUTHENTICATION
    assert server.count == 0


async def test_openai_is_asked_for_the_schema_without_chance(server: ModelServer, request_: ModelRequest) -> None:
    body = await sent_to_openai(server, request_, Endpoint(server.openai_url))
    assert body["temperature"] == 0
    assert body["reasoning_effort"] == "low"
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["response_format"]["json_schema"]["schema"] == request_.answer_schema
    # `parameters` is an open object, and OpenAI refuses such a schema as strict.
    assert body["response_format"]["json_schema"]["strict"] is False


async def test_openai_is_strict_where_the_schema_allows_it(server: ModelServer, request_: ModelRequest) -> None:
    properties = {"action": {"enum": ["respond"]}, "parameters": {"type": "null"}}
    closed = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    request = request_.model_copy(update={"answer_schema": closed})
    body = await sent_to_openai(server, request, Endpoint(server.openai_url))
    assert body["response_format"]["json_schema"]["strict"] is True


async def test_openai_reasoning_models_take_other_fields(server: ModelServer, request_: ModelRequest) -> None:
    endpoint = Endpoint(server.openai_url, temperature=None, max_tokens_field="max_completion_tokens")
    body = await sent_to_openai(server, request_, endpoint)
    assert body["max_completion_tokens"] == request_.max_output_tokens
    assert not {"temperature", "max_tokens"} & body.keys()


async def test_a_server_that_does_not_count_is_charged_at_the_worst_price(
    server: ModelServer, request_: ModelRequest
) -> None:
    server.usual = Step(Conduct.NO_USAGE)
    provider = OpenAIProvider(Endpoint(server.openai_url))
    request = request_.for_provider(provider.name)
    reply = await provider.ask(request)
    await provider.aclose()
    assert reply.cost_microusd == worst_price(request)


async def test_the_charters_price_holds(server: ModelServer, request_: ModelRequest) -> None:
    price = TokenPrice(
        input_per_mtok_usd=Decimal(1), output_per_mtok_usd=Decimal(2), cache_read_per_mtok_usd=Decimal(0)
    )
    request = request_.model_copy(update={"model": "our-own-model", "models": {}, "prices": {"our-own-model": price}})
    provider = OpenAIProvider(Endpoint(server.openai_url))
    reply = await provider.ask(request)
    await provider.aclose()
    assert reply.usage == ModelUsage(input_tokens=70, output_tokens=40, cache_read_tokens=30)
    assert reply.cost_microusd == 70 + 2 * 40
