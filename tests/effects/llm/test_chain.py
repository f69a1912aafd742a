"""The chain: who is asked, who is passed over and why, and what it all cost."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from pydantic import SecretStr

from effects.llm.anthropic import AnthropicProvider
from effects.llm.chain import ProviderChain
from effects.llm.openai import Endpoint, OpenAIProvider
from effects.llm.protocol import AllProvidersFailed
from effects.llm.recorded import NotRecorded, RecordedReplies
from processors.breaker import Policy
from processors.model import ModelReply, ModelRequest
from streams.stages.circuits import Circuits
from tests.fakes.model_server import Conduct, ModelServer, Step

BOTH = ("anthropic", "openai-compatible", "rules")
KEY = SecretStr("secret-key")


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


class Chained(NamedTuple):
    chain: ProviderChain
    circuits: Circuits
    first: ModelServer
    second: ModelServer
    clock: Clock


@pytest.fixture
async def chained(server: ModelServer) -> AsyncIterator[Chained]:
    clock = Clock()
    async with ModelServer() as second:
        providers = (
            AnthropicProvider(api_key=KEY, base_url=server.anthropic_url),
            OpenAIProvider(Endpoint(second.openai_url, KEY)),
        )
        circuits = Circuits("decide", Policy(failures_to_open=2, open_seconds=10), clock)
        chain = ProviderChain(providers, circuits)
        yield Chained(chain, circuits, server, second, clock)
        await chain.aclose()


def reasons(reply: ModelReply | AllProvidersFailed) -> list[tuple[str, str]]:
    return [(each.provider, each.reason) for each in reply.fallbacks]


async def test_the_first_provider_answers(chained: Chained, request_: ModelRequest) -> None:
    reply = await chained.chain.ask(BOTH, request_)
    assert (reply.provider, reply.model, reasons(reply)) == ("anthropic", "claude-sonnet-5-5", [])
    assert chained.second.count == 0


async def test_the_next_one_answers_under_its_own_model_and_the_reason_is_kept(
    chained: Chained, request_: ModelRequest
) -> None:
    chained.first.script.append(Step(Conduct.OVERLOADED))
    reply = await chained.chain.ask(BOTH, request_)
    assert (reply.provider, reply.model) == ("openai-compatible", "gpt-4o-mini")
    assert reasons(reply) == [("anthropic", "overloaded")]
    assert "overloaded" in reply.fallbacks[0].detail
    assert reply.total_microusd == reply.cost_microusd


async def test_a_provider_that_may_have_been_paid_is_charged_with_the_answer(
    chained: Chained, request_: ModelRequest
) -> None:
    chained.first.script.append(Step(Conduct.DROP))
    reply = await chained.chain.ask(BOTH, request_)
    assert reply.passed_over_microusd > reply.cost_microusd > 0
    assert reply.total_microusd == reply.passed_over_microusd + reply.cost_microusd


async def test_all_failed_names_each_reason(chained: Chained, request_: ModelRequest) -> None:
    chained.first.script.append(Step(Conduct.UNAUTHORIZED))
    chained.second.script.append(Step(Conduct.SERVER_ERROR))
    with pytest.raises(AllProvidersFailed, match="anthropic: authentication") as caught:
        await chained.chain.ask(BOTH, request_)
    assert reasons(caught.value) == [("anthropic", "authentication"), ("openai-compatible", "server_error")]
    assert (caught.value.retryable, caught.value.spent_microusd) == (True, 0)


async def test_a_refusal_is_not_taken_to_another_model(chained: Chained, request_: ModelRequest) -> None:
    chained.first.script.append(Step(Conduct.REFUSE))
    with pytest.raises(AllProvidersFailed) as caught:
        await chained.chain.ask(BOTH, request_)
    assert reasons(caught.value) == [("anthropic", "refused")]
    assert caught.value.spent_microusd > 0
    assert not caught.value.retryable
    assert chained.second.count == 0


async def test_what_comes_after_rules_is_not_asked(chained: Chained, request_: ModelRequest) -> None:
    with pytest.raises(AllProvidersFailed, match="names none"):
        await chained.chain.ask(("rules", "anthropic"), request_)
    assert chained.first.count == 0


async def test_a_provider_without_settings_is_passed_over(server: ModelServer, request_: ModelRequest) -> None:
    chain = ProviderChain([OpenAIProvider(Endpoint(server.openai_url))], Circuits("decide", Policy(), Clock()))
    reply = await chain.ask(BOTH, request_)
    assert reasons(reply) == [("anthropic", "not_configured")]
    await chain.aclose()


async def test_a_circuit_opens_waits_and_closes_by_one_probe(chained: Chained, request_: ModelRequest) -> None:
    chained.first.script.extend([Step(Conduct.OVERLOADED)] * 2)
    for _ in range(3):
        reply = await chained.chain.ask(BOTH, request_)
    assert reasons(reply) == [("anthropic", "circuit_open")]
    assert chained.first.count == 2
    assert [chained.circuits.is_open(name) for name in ("anthropic", "openai-compatible")] == [True, False]

    chained.clock.seconds = 10.0
    chained.first.script.append(Step(delay_seconds=0.2))
    replies = await asyncio.gather(*(chained.chain.ask(BOTH, request_) for _ in range(5)))
    assert sorted(reply.provider for reply in replies) == ["anthropic"] + ["openai-compatible"] * 4
    assert chained.first.count == 3
    assert not chained.circuits.is_open("anthropic")


async def test_a_circuit_stays_open_as_long_as_the_provider_asks(chained: Chained, request_: ModelRequest) -> None:
    chained.first.script.extend([Step(Conduct.RATE_LIMITED, retry_after_seconds=60)] * 2)
    for _ in range(2):
        await chained.chain.ask(BOTH, request_)
    chained.clock.seconds = 59.0
    assert reasons(await chained.chain.ask(BOTH, request_)) == [("anthropic", "circuit_open")]
    chained.clock.seconds = 60.0
    assert reasons(await chained.chain.ask(BOTH, request_)) == []


async def test_a_cancelled_probe_lets_the_next_one_out(chained: Chained, request_: ModelRequest) -> None:
    chained.first.script.extend([Step(Conduct.OVERLOADED), Step(Conduct.OVERLOADED), Step(Conduct.HANG)])
    for _ in range(2):
        await chained.chain.ask(BOTH, request_)
    chained.clock.seconds = 10.0
    probe = asyncio.create_task(chained.chain.ask(BOTH, request_))
    await chained.first.wait_for(lambda server: server.count == 3)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert (await chained.chain.ask(BOTH, request_)).provider == "anthropic"


async def test_questions_that_a_provider_rejects_do_not_open_its_circuit(
    chained: Chained, request_: ModelRequest
) -> None:
    chained.first.script.extend([Step(Conduct.TOO_LONG)] * 5)
    for _ in range(5):
        await chained.chain.ask(BOTH, request_)
    assert not chained.circuits.is_open("anthropic")


async def test_a_question_that_was_never_sent_says_nothing_about_the_provider(
    chained: Chained, request_: ModelRequest
) -> None:
    unpriced = request_.model_copy(update={"model": "our-own-model"})
    chained.first.script.extend([Step(Conduct.OVERLOADED)] * 2)
    for request in (request_, unpriced, request_):
        await chained.chain.ask(BOTH, request)
    assert chained.circuits.is_open("anthropic")


async def test_recorded_replies_are_given_again_in_order(chained: Chained, request_: ModelRequest) -> None:
    votes = [await chained.chain.ask(BOTH, request_) for _ in range(2)]
    recorded = RecordedReplies({request_.digest(): votes})
    assert [await recorded.ask(BOTH, request_) for _ in range(2)] == votes
    with pytest.raises(NotRecorded, match="recorded 2 times and asked 3 times"):
        await recorded.ask(BOTH, request_)
    with pytest.raises(NotRecorded, match="charter version"):
        await recorded.ask(BOTH, request_.model_copy(update={"prompt": "another"}))
    assert chained.first.count == 2
