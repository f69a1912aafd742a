"""Whatever a model server sends, a question ends in a reply or a `ModelError`, in bounded memory and at a bounded
price.
"""

import resource
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from nightdesk.effects.llm.anthropic import _Message
from nightdesk.effects.llm.call import TOKENS_AT_MOST, ProviderCall
from nightdesk.effects.llm.openai import _Completion
from nightdesk.effects.llm.protocol import Kind, ModelError
from tests.effects.llm.test_contract import Asked, asked, build, worst_price
from tests.fakes.model_server import Conduct, Step

__all__ = ["asked", "build"]

INPUT = {"anthropic": "input_tokens", "openai-compatible": "prompt_tokens"}
OUTPUT = {"anthropic": "output_tokens", "openai-compatible": "completion_tokens"}
CACHED = {"anthropic": "cache_read_input_tokens"}
NO_COUNTS = [-1, 10**15, TOKENS_AT_MOST + 1, 1e30, 1.5, 12.0, "12", True, [], {}]


async def refused(asked: Asked, step: Step) -> ModelError:
    asked.server.script.append(step)
    with pytest.raises(ModelError) as caught:
        await asked.provider.ask(asked.request)
    return caught.value


@pytest.mark.parametrize("names", [INPUT, OUTPUT, CACHED], ids=["input", "output", "cached"])
@pytest.mark.parametrize("count", [*NO_COUNTS, None], ids=repr)
async def test_what_is_no_count_of_tokens_goes_down_the_lane_of_fallbacks(
    asked: Asked, names: dict[str, str], count: Any
) -> None:
    name = names.get(asked.provider.name)
    if name is None or (count is None and names is CACHED):
        return  # not said is none
    error = await refused(asked, Step(usage={name: count}))
    assert error.kind is Kind.MALFORMED_HTTP
    assert error.meaning.falls_through
    assert error.unanswered_cost_microusd == worst_price(asked.request)
    assert len(error.message) <= 300


@pytest.mark.parametrize("details", [-1, 10**15, "x", 1.5])
async def test_what_is_no_count_of_cached_tokens_neither(asked: Asked, details: Any) -> None:
    if asked.provider.name == "anthropic":
        return
    error = await refused(asked, Step(usage={"prompt_tokens_details": {"cached_tokens": details}}))
    assert (error.kind, error.unanswered_cost_microusd) == (Kind.MALFORMED_HTTP, worst_price(asked.request))


async def test_more_tokens_than_were_asked_for_are_told_as_they_came(asked: Asked) -> None:
    """The budget bounds what it counts; the record does not."""
    asked.server.script.append(Step(usage={OUTPUT[asked.provider.name]: TOKENS_AT_MOST}))
    reply = await asked.provider.ask(asked.request)
    assert reply.usage.output_tokens == TOKENS_AT_MOST
    assert reply.cost_microusd > worst_price(asked.request)


BODIES = [Conduct.BOMB, Conduct.HUGE, Conduct.ENDLESS, Conduct.STRANGE_PACKING, Conduct.DENSE]


@pytest.mark.parametrize("conduct", BODIES)
async def test_a_body_without_measure_is_a_failure_of_its_provider(asked: Asked, conduct: Conduct) -> None:
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = await refused(asked, Step(conduct))
    assert error.kind is Kind.MALFORMED_HTTP
    assert error.unanswered_cost_microusd == worst_price(asked.request)
    # The fake server lives in this process too, and makes the 60 MB of the bomb.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 200_000
    assert (await asked.provider.ask(asked.request)).text, "and the next is answered"


@pytest.mark.parametrize("conduct", [Conduct.DENSE_ERROR, Conduct.DEEP_ERROR])
async def test_an_error_of_megabytes_is_an_error_like_any_other(asked: Asked, conduct: Conduct) -> None:
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = await refused(asked, Step(conduct))
    assert error.kind is Kind.SERVER_ERROR
    assert len(error.message) <= 300
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 200_000


@pytest.mark.parametrize("count", [2, 100_000])
async def test_however_many_parts_are_wrong_one_is_named(asked: Asked, count: int) -> None:
    call = ProviderCall(asked.provider.name, asked.request, datetime.now(UTC))
    kind, name = (_Message, "content") if asked.provider.name == "anthropic" else (_Completion, "choices")
    with pytest.raises(ModelError) as caught:
        call.read(kind, orjson.dumps({name: [{}] * count}), "reply")
    assert caught.value.kind is Kind.MALFORMED_HTTP
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("key", ["usage", "role", "id"])
async def test_a_body_with_a_key_twice_is_a_failure_of_its_provider(asked: Asked, key: str) -> None:
    """Parsers differ in which one they take, and one of the two may be the cheaper one."""
    error = await refused(asked, Step(twice=key))
    assert (error.kind, error.unanswered_cost_microusd) == (Kind.MALFORMED_HTTP, worst_price(asked.request))
    assert f"has the key '{key}' twice in one object" in error.message


async def test_a_body_that_drips_has_the_time_that_was_given(asked: Asked) -> None:
    asked.server.script.append(Step(Conduct.DRIP))
    with pytest.raises(ModelError) as caught:
        await asked.provider.ask(asked.request.model_copy(update={"timeout_seconds": 0.3}))
    assert caught.value.kind is Kind.TIMEOUT


@pytest.mark.parametrize("conduct", [Conduct.CHUNKED, Conduct.PACKED])
async def test_an_answer_may_come_in_pieces_or_packed(asked: Asked, conduct: Conduct) -> None:
    asked.server.script.append(Step(conduct))
    assert '"action"' in (await asked.provider.ask(asked.request)).text


@pytest.mark.parametrize("header", ["inf", "1e20", "nan", "-5", "9" * 30, "soon", "Wed, 21 Oct 2099 07:28:00 GMT"])
async def test_nobody_keeps_us_away_for_ever(asked: Asked, header: str) -> None:
    error = await refused(asked, Step(Conduct.RATE_LIMITED, retry_after_seconds=header))
    assert error.kind is Kind.RATE_LIMITED
    assert 0 <= error.retry_after_seconds <= 3_600


async def test_names_of_megabytes_are_cut(asked: Asked) -> None:
    asked.server.script.append(Step(stop_reason="x" * 3_000_000))
    reply = await asked.provider.ask(asked.request)
    assert len(reply.stop_reason) <= 200


async def test_the_server_took_every_request_of_these_tests(asked: Asked) -> None:
    for effort in ("low", "medium", "high", None):
        await asked.provider.ask(asked.request.model_copy(update={"effort": effort}))
    assert asked.server.refused == []
