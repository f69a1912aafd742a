"""Prices equal the library's own sum, never exceed the worst price, and are never guessed."""

import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from types import SimpleNamespace

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice
from hypothesis import example, given
from hypothesis import strategies as st

from nightdesk.processors import prices
from nightdesk.processors.model import ModelRequest, ModelUsage, TokenPrice
from nightdesk.processors.prices import (
    FRAMING_TOKENS_AT_MOST,
    UnknownPrice,
    input_tokens_at_most,
    price_microusd,
    worst_ask_price_microusd,
    worst_price_microusd,
)

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
# Plain, in tiers by length, by date, by the hour; then all that have a price, so that a new kind of price shows.
MODELS = ("claude-sonnet-5-5", "claude-sonnet-4-5", "claude-opus-4-6", "gpt-4o-mini", "gemini-2.5-pro", "deepseek-chat")


def priced_models() -> list[str]:
    found = []
    for model in (model.id for provider in get_snapshot().providers for model in provider.models):
        with suppress(UnknownPrice):
            price_microusd(model, ModelUsage(), NOW)
            found.append(model)
    return found


models = st.sampled_from(MODELS) | st.sampled_from(priced_models())
tokens = st.integers(0, 400_000)
usages = st.builds(
    ModelUsage, input_tokens=tokens, output_tokens=tokens, cache_read_tokens=tokens, cache_write_tokens=tokens
)
times = st.timedeltas(timedelta(days=-700), timedelta(days=60)).map(lambda ago: NOW + ago)


def total_input(usage: ModelUsage) -> int:
    return usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens


@example("claude-sonnet-4-5", ModelUsage(input_tokens=200_000), NOW)  # the last token before a tier
@given(models, usages, times)
def test_the_price_is_the_librarys_rounded_up(model: str, usage: ModelUsage, at: datetime) -> None:
    theirs = calc_price(
        Usage(
            input_tokens=total_input(usage),
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        ),
        model,
        genai_request_timestamp=at,
    )
    expected = (theirs.total_price * 1_000_000).to_integral_value(rounding=ROUND_CEILING)
    assert price_microusd(model, usage, at) == expected


@given(models, usages, times, st.integers(0, 100_000), st.timedeltas(timedelta(0), timedelta(days=2)))
def test_no_call_costs_more_than_the_worst(
    model: str, usage: ModelUsage, at: datetime, room: int, wait: timedelta
) -> None:
    worst = worst_price_microusd(model, total_input(usage) + room, usage.output_tokens + room, at)
    assert price_microusd(model, usage, at + wait) <= worst


def test_known_prices() -> None:
    usage = ModelUsage(input_tokens=1_000, output_tokens=100, cache_read_tokens=2_000, cache_write_tokens=400)
    assert price_microusd("claude-sonnet-5-5", usage, NOW) == 2 * 1_000 + 10 * 100 + 200 + 1_000
    assert price_microusd("claude-sonnet-5-5", ModelUsage(cache_read_tokens=1), NOW) == 1  # 0.1 rounded up
    assert worst_price_microusd("claude-sonnet-5-5", 1_000, 100, NOW) == 2_500 + 1_000


@pytest.mark.parametrize("model", ["our-own-model", "claude-sonnet-99", "", "text-embedding-3-small"])
def test_an_unknown_price_is_refused(model: str) -> None:
    with pytest.raises(UnknownPrice, match=r"decide\.prices"):
        worst_price_microusd(model, 10, 10, NOW)
    with pytest.raises(UnknownPrice, match=r"decide\.prices"):
        price_microusd(model, ModelUsage(input_tokens=1), NOW)


@pytest.mark.parametrize(
    "price",
    [
        ModelPrice(input_mtok=Decimal(0), output_mtok=Decimal(1)),
        ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(0)),
        ModelPrice(output_mtok=Decimal(1)),
        ModelPrice(input_mtok=Decimal(1)),
    ],
    ids=["no input price", "no output price", "input unknown", "output unknown"],
)
def test_a_bundled_price_of_nothing_is_no_price(price: ModelPrice, monkeypatch: pytest.MonkeyPatch) -> None:
    info = SimpleNamespace(prices=price, get_prices=lambda at: price)
    monkeypatch.setattr(prices, "_find", lambda model: info)
    with pytest.raises(UnknownPrice):
        worst_price_microusd("somebodys-free-tier", 10, 10, NOW)
    with pytest.raises(UnknownPrice):
        price_microusd("somebodys-free-tier", ModelUsage(input_tokens=1), NOW)


def test_no_bundled_model_is_free() -> None:
    found = priced_models()
    assert len(found) > 500
    assert all(worst_price_microusd(model, 1, 1, NOW) > 0 for model in found)


def test_the_charters_price_goes_first_and_may_be_zero() -> None:
    free = {"our-own-model": TokenPrice(input_per_mtok_usd=Decimal(0), output_per_mtok_usd=Decimal(0))}
    assert worst_price_microusd("our-own-model", 1_000, 1_000, NOW, free) == 0
    dear = {"gpt-4o-mini": TokenPrice(input_per_mtok_usd=Decimal(7), output_per_mtok_usd=Decimal("0.5"))}
    usage = ModelUsage(input_tokens=10, output_tokens=3, cache_read_tokens=5, cache_write_tokens=1)
    assert price_microusd("gpt-4o-mini", usage, NOW, dear) == 7 * 16 + 2


def request(prompt: str, **changes: object) -> ModelRequest:
    fields: dict[str, object] = {
        "model": "claude-sonnet-5-5", "system": "", "prompt": prompt, "answer_schema": {}, "max_output_tokens": 100,
        "timeout_seconds": 10.0,
    }  # fmt: skip
    return ModelRequest.model_validate(fields | changes)


@given(st.text(), st.text())
def test_no_tokenizer_finds_more_tokens_than_we_count(system: str, prompt: str) -> None:
    bytes_in_it = len(system.encode()) + len(prompt.encode())
    assert input_tokens_at_most(request(prompt, system=system)) >= bytes_in_it + FRAMING_TOKENS_AT_MOST


def test_each_provider_asked_may_have_to_be_paid_and_rules_cost_nothing() -> None:
    asked = request("hello", models={"openai-compatible": "gpt-4o-mini"})
    one, other = (worst_ask_price_microusd([name], asked, NOW) for name in ("anthropic", "openai-compatible"))
    assert worst_ask_price_microusd(["anthropic", "openai-compatible", "rules"], asked, NOW) == one + other
    assert worst_ask_price_microusd(["rules"], asked, NOW) == 0
    assert one > other > 0


def test_prices_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a price was looked up over the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    get_snapshot.__globals__["_bundled_snapshot"].cache_clear()
    assert worst_price_microusd("gpt-4o-mini", 10, 10, NOW) > 0
