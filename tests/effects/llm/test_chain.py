"""The chain of providers: which is asked, which is skipped and why, and the total cost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from pydantic import SecretStr

from nightdesk.effects.llm.anthropic import AnthropicProvider
from nightdesk.effects.llm.chain import ProviderChain
from nightdesk.effects.llm.openai import Endpoint, OpenAIProvider
from nightdesk.processors.breaker import BreakerPolicy
from nightdesk.processors.model import ModelReply, ModelRequest, ModelUnavailable, WhyNot
from nightdesk.processors.prices import worst_request_price_microusd
from nightdesk.streams.stages.circuits import Circuits
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
        circuits = Circuits("decide", BreakerPolicy(failures_to_open=2, open_seconds=10), clock)
        chain = ProviderChain(providers, circuits)
        yield Chained(chain, circuits, server, second, clock)
        await chain.aclose()


def reasons(answer: ModelReply | ModelUnavailable) -> list[tuple[str, str]]:
    passed_over = answer.fallbacks if isinstance(answer, ModelReply) else answer.reasons
    return [(each.provider, each.reason) for each in passed_over]


async def unhindered() -> str:
    """Nothing keeps a provider from being asked."""
    return ""


async def answered(
    chain: ProviderChain, names: Sequence[str], request: ModelRequest, why_not: WhyNot = unhindered
) -> ModelReply:
    """The reply; it is an error if no provider answers."""
    answer = await chain.ask(names, request, why_not)
    assert isinstance(answer, ModelReply), answer
    return answer


async def unavailable(
    chain: ProviderChain, names: Sequence[str], request: ModelRequest, why_not: WhyNot = unhindered
) -> ModelUnavailable:
    """Why no provider answers; it is an error if one does."""
    answer = await chain.ask(names, request, why_not)
    assert isinstance(answer, ModelUnavailable), answer
    return answer


async def test_the_first_provider_answers(chained: Chained, request_: ModelRequest) -> None:
    reply = await answered(chained.chain, BOTH, request_)
    assert (reply.provider, reply.model, reasons(reply)) == ("anthropic", "claude-sonnet-5-5", [])
    assert chained.second.count == 0


async def test_the_next_one_answers_under_its_own_model_and_the_reason_is_kept(
    chained: Chained, request_: ModelRequest
) -> None:
    chained.first.script.append(Step(Conduct.OVERLOADED))
    reply = await answered(chained.chain, BOTH, request_)
    assert (reply.provider, reply.model) == ("openai-compatible", "gpt-4o-mini")
    assert reasons(reply) == [("anthropic", "overloaded")]
    assert "overloaded" in reply.fallbacks[0].detail
    assert reply.total_microusd == reply.cost_microusd


async def test_a_provider_that_may_have_been_paid_is_charged_with_the_answer(
    chained: Chained, request_: ModelRequest
) -> None:
    chained.first.script.append(Step(Conduct.DROP))
    reply = await answered(chained.chain, BOTH, request_)
    assert reply.unanswered_cost_microusd > reply.cost_microusd > 0
    assert reply.total_microusd == reply.unanswered_cost_microusd + reply.cost_microusd


async def test_all_failed_names_each_reason(chained: Chained, request_: ModelRequest) -> None:
    chained.first.script.append(Step(Conduct.UNAUTHORIZED))
    chained.second.script.append(Step(Conduct.SERVER_ERROR))
    none = await unavailable(chained.chain, BOTH, request_)
    assert reasons(none) == [("anthropic", "authentication"), ("openai-compatible", "server_error")]
    assert [reason.called for reason in none.reasons] == [True, True]
    # Who asked with a wrong key was turned away; a server that broke may have answered first.
    worst = worst_request_price_microusd(request_.for_provider("openai-compatible"), datetime.now(UTC))
    assert (none.retryable, none.unanswered_cost_microusd) == (True, worst)


async def test_a_refusal_is_not_taken_to_another_model(chained: Chained, request_: ModelRequest) -> None:
    chained.first.script.append(Step(Conduct.REFUSE))
    none = await unavailable(chained.chain, BOTH, request_)
    assert reasons(none) == [("anthropic", "refused")]
    assert none.unanswered_cost_microusd > 0
    assert not none.retryable
    assert chained.second.count == 0


async def test_what_comes_after_rules_is_not_asked(chained: Chained, request_: ModelRequest) -> None:
    assert await unavailable(chained.chain, ("rules", "anthropic"), request_) == ModelUnavailable(reasons=())
    assert chained.first.count == 0


async def test_a_provider_without_settings_is_passed_over(server: ModelServer, request_: ModelRequest) -> None:
    chain = ProviderChain([OpenAIProvider(Endpoint(server.openai_url))], Circuits("decide", BreakerPolicy(), Clock()))
    reply = await answered(chain, BOTH, request_)
    assert reasons(reply) == [("anthropic", "not_configured")]
    assert [passed.called for passed in reply.fallbacks] == [False]
    none = await unavailable(chain, ("anthropic",), request_)
    assert not none.called, "nobody was asked"
    await chain.aclose()


async def test_a_circuit_opens_waits_and_closes_by_one_probe(chained: Chained, request_: ModelRequest) -> None:
    chained.first.script.extend([Step(Conduct.OVERLOADED)] * 2)
    for _ in range(3):
        reply = await answered(chained.chain, BOTH, request_)
    assert reasons(reply) == [("anthropic", "circuit_open")]
    assert [passed.called for passed in reply.fallbacks] == [False], "an open circuit lets no call through"
    assert chained.first.count == 2
    assert [chained.circuits.is_open(name) for name in ("anthropic", "openai-compatible")] == [True, False]

    chained.clock.seconds = 10.0
    chained.first.script.append(Step(delay_seconds=0.2))
    replies = await asyncio.gather(*(answered(chained.chain, BOTH, request_) for _ in range(5)))
    assert sorted(reply.provider for reply in replies) == ["anthropic"] + ["openai-compatible"] * 4
    assert chained.first.count == 3
    assert not chained.circuits.is_open("anthropic")


async def test_a_circuit_stays_open_as_long_as_the_provider_asks(chained: Chained, request_: ModelRequest) -> None:
    chained.first.script.extend([Step(Conduct.RATE_LIMITED, retry_after_seconds=60)] * 2)
    for _ in range(2):
        await answered(chained.chain, BOTH, request_)
    chained.clock.seconds = 59.0
    assert reasons(await answered(chained.chain, BOTH, request_)) == [("anthropic", "circuit_open")]
    chained.clock.seconds = 60.0
    assert reasons(await answered(chained.chain, BOTH, request_)) == []


async def test_a_cancelled_probe_lets_the_next_one_out(chained: Chained, request_: ModelRequest) -> None:
    chained.first.script.extend([Step(Conduct.OVERLOADED), Step(Conduct.OVERLOADED), Step(Conduct.HANG)])
    for _ in range(2):
        await answered(chained.chain, BOTH, request_)
    chained.clock.seconds = 10.0
    probe = asyncio.create_task(chained.chain.ask(BOTH, request_, unhindered))
    await chained.first.wait_for(lambda server: server.count == 3)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert (await answered(chained.chain, BOTH, request_)).provider == "anthropic"


async def test_questions_that_a_provider_rejects_do_not_open_its_circuit(
    chained: Chained, request_: ModelRequest
) -> None:
    chained.first.script.extend([Step(Conduct.TOO_LONG)] * 5)
    for _ in range(5):
        await answered(chained.chain, BOTH, request_)
    assert not chained.circuits.is_open("anthropic")


async def test_a_question_that_was_never_sent_says_nothing_about_the_provider(
    chained: Chained, request_: ModelRequest
) -> None:
    unpriced = request_.model_copy(update={"model": "our-own-model"})
    chained.first.script.extend([Step(Conduct.OVERLOADED)] * 2)
    for request in (request_, unpriced, request_):
        await answered(chained.chain, BOTH, request)
    assert chained.circuits.is_open("anthropic")


async def test_an_order_that_comes_while_one_provider_is_asked_keeps_the_next_from_being_asked(
    server: ModelServer, request_: ModelRequest
) -> None:
    orders = ["", "stop_all by ops: night"]

    async def why_not() -> str:
        return orders.pop(0)

    async with ModelServer() as second:
        providers = (
            AnthropicProvider(api_key=KEY, base_url=server.anthropic_url),
            OpenAIProvider(Endpoint(second.openai_url, KEY)),
        )
        circuits = Circuits("decide", BreakerPolicy(), Clock())
        chain = ProviderChain(providers, circuits)
        server.script.append(Step(Conduct.OVERLOADED))
        none = await unavailable(chain, BOTH, request_, why_not)
        await chain.aclose()
        assert reasons(none) == [("anthropic", "overloaded"), ("openai-compatible", "stopped")]
        assert (server.count, second.count) == (1, 0)
        assert not circuits.is_open("openai-compatible")


async def test_a_question_that_waits_for_room_asks_for_orders_when_it_has_it(
    server: ModelServer, request_: ModelRequest
) -> None:
    """Otherwise it would be sent long after an order to stop, according to the orders of the time when it began to
    wait.
    """
    ordered = False

    async def why_not() -> str:
        return "stopped" if ordered else ""

    provider = AnthropicProvider(api_key=KEY, base_url=server.anthropic_url)
    chain = ProviderChain([provider], Circuits("decide", BreakerPolicy(), Clock()), calls_at_once=1)
    server.script.append(Step(Conduct.HANG))
    first, second = (asyncio.create_task(chain.ask(("anthropic",), request_, why_not)) for _ in range(2))
    await server.wait_for(lambda server: server.count == 1)
    ordered = True
    first.cancel()
    assert reasons(await second) == [("anthropic", "stopped")]
    assert server.count == 1
    await asyncio.gather(first, return_exceptions=True)
    await chain.aclose()


async def test_an_answer_says_when_the_last_provider_was_called(server: ModelServer, request_: ModelRequest) -> None:
    """`stop verify` compares it with the order: the first provider may have been called long before."""
    clock = Clock()

    async def five_seconds_pass() -> str:
        clock.seconds += 5
        return ""

    async with ModelServer() as second:
        providers = (
            AnthropicProvider(api_key=KEY, base_url=server.anthropic_url),
            OpenAIProvider(Endpoint(second.openai_url, KEY)),
        )
        chain = ProviderChain(providers, Circuits("decide", BreakerPolicy(), clock), clock=clock)
        server.script.append(Step(Conduct.OVERLOADED))
        reply = await answered(chain, BOTH, request_, five_seconds_pass)
        assert reply.sent_at == datetime.fromtimestamp(10, UTC)
        server.script.append(Step(Conduct.OVERLOADED))
        second.script.append(Step(Conduct.OVERLOADED))
        assert (await unavailable(chain, BOTH, request_, five_seconds_pass)).sent_at == datetime.fromtimestamp(20, UTC)
        await chain.aclose()


async def test_a_question_that_no_provider_was_sent_has_no_such_time(
    request_: ModelRequest, server: ModelServer
) -> None:
    async def why_not() -> str:
        return "stop_all by ops: night"

    provider = AnthropicProvider(api_key=KEY, base_url=server.anthropic_url)
    chain = ProviderChain([provider], Circuits("decide", BreakerPolicy(), Clock()))
    assert (await unavailable(chain, BOTH, request_, why_not)).sent_at is None
    unpriced = request_.model_copy(update={"model": "no-such-model"})
    free = ProviderChain([provider], Circuits("decide", BreakerPolicy(), Clock()))
    assert (await unavailable(free, ("anthropic",), unpriced)).sent_at is None
    await chain.aclose()
