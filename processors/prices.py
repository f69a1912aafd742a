"""The cost of a model call in micro-dollars, rounded up; and the most that it can cost, before it is made.

The budget stage reserves `worst_ask_price_microusd`; `effects/llm` prices each reply. The prices are those bundled with
genai-prices (data in the package, no network) unless the charter sets its own. We use only its table and compute the
sum ourselves, because its function reads the clock, has no worst case and takes 120 microseconds. A test compares both.
A model without a price raises `UnknownPrice` and is never free.

A dollar per million tokens is a micro-dollar per token, so prices per million tokens are used directly.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

import orjson
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, StartDateConstraint, TieredPrices

from nightdesk.processors.model import ModelRequest, ModelUsage, TokenPrice

# A byte-level tokenizer never produces more tokens than bytes. English text has about four bytes per token, but a
# customer may send noise with one, and a reservation that noise can exceed limits nothing. Settling releases the rest.
BYTES_PER_TOKEN_AT_LEAST = 1
# What providers add to a request: roles, separators, the instruction to answer by the schema.
FRAMING_TOKENS_AT_MOST = 1_000

RULES = "rules"
NO_PRICES: Mapping[str, TokenPrice] = {}


class UnknownPrice(ValueError):
    """The model has no price. The message says how to set one."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"no price is known for model {model!r}: correct its name, or give the charter a price under"
            f" decide.prices: {{{model!r}: {{input_per_mtok_usd: ..., output_per_mtok_usd: ...}}}}"
        )
        self.model = model


class Rates(NamedTuple):
    """Micro-dollars per token."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal


def price_microusd(model: str, usage: ModelUsage, at: datetime, prices: Mapping[str, TokenPrice] = NO_PRICES) -> int:
    """The cost of `usage` at time `at`, in micro-dollars, rounded up. Raises `UnknownPrice`."""
    total_input = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    if model in prices:
        rates = _given_rates(prices[model])
    else:
        rates = _bundled_rates(model, _find(model).get_prices(at), total_input)
    return _rounded_up(
        usage.input_tokens * rates.input
        + usage.output_tokens * rates.output
        + usage.cache_read_tokens * rates.cache_read
        + usage.cache_write_tokens * rates.cache_write
    )


def worst_price_microusd(
    model: str,
    input_tokens_at_most: int,
    max_output_tokens: int,
    at: datetime,
    prices: Mapping[str, TokenPrice] = NO_PRICES,
) -> int:
    """The most that a call with so many tokens can cost from `at` on, in micro-dollars, rounded up. Raises
    `UnknownPrice`.

    Every input token is priced at its most expensive (written to the cache), at the most expensive hour of the day.
    """
    return max(
        _rounded_up(
            input_tokens_at_most * max(rates.input, rates.cache_read, rates.cache_write)
            + max_output_tokens * rates.output
        )
        for rates in _possible_rates(model, input_tokens_at_most, at, prices)
    )


def worst_request_price_microusd(request: ModelRequest, at: datetime) -> int:
    """The most that one call of `request.model` can cost, in micro-dollars. Raises `UnknownPrice`."""
    return worst_price_microusd(
        request.model, input_tokens_at_most(request), request.max_output_tokens, at, request.prices
    )


def worst_ask_price_microusd(providers: Sequence[str], request: ModelRequest, at: datetime) -> int:
    """The most that asking `providers` in turn can cost: each may time out and still charge. Raises `UnknownPrice`."""
    return sum(worst_request_price_microusd(request.for_provider(name), at) for name in providers if name != RULES)


def input_tokens_at_most(request: ModelRequest) -> int:
    """An upper bound of the request's tokens for any tokenizer. Providers show the schema to the
    model, so it counts.
    """
    texts = (request.system.encode(), request.prompt.encode(), orjson.dumps(request.answer_schema))
    return sum(len(text) for text in texts) // BYTES_PER_TOKEN_AT_LEAST + FRAMING_TOKENS_AT_MOST


def _possible_rates(model: str, total_input: int, at: datetime, prices: Mapping[str, TokenPrice]) -> Iterator[Rates]:
    if model in prices:
        yield _given_rates(prices[model])
        return
    for price in _prices_from(_find(model), at):
        # A tier's price applies to the whole call once its threshold is exceeded, and fewer tokens may cost more.
        for tier_start in (0, *_thresholds(price, total_input)):
            yield _bundled_rates(model, price, tier_start)


def _prices_from(info: ModelInfo, at: datetime) -> list[ModelPrice]:
    """Each price that may apply at `at` or later: all hours of the day, and future dates; not
    prices that have ended.
    """
    if isinstance(info.prices, ModelPrice):
        return [info.prices]
    ended_before = max((i for i, price in enumerate(info.prices) if _has_started(price, at)), default=0)
    return [price.prices for price in info.prices[ended_before:]]


def _has_started(price: ConditionalPrice, at: datetime) -> bool:
    return isinstance(price.constraint, StartDateConstraint) and price.constraint.active(at)


def _thresholds(price: ModelPrice, total_input: int) -> Iterator[int]:
    for value in vars(price).values():
        if isinstance(value, TieredPrices):
            yield from (tier.start + 1 for tier in value.tiers if tier.start < total_input)


def _find(model: str) -> ModelInfo:
    try:
        return get_snapshot().find_provider_model(model, None, None, None)[1]
    except LookupError:
        raise UnknownPrice(model) from None


def _given_rates(price: TokenPrice) -> Rates:
    given = price.input_per_mtok_usd
    read, write = price.cache_read_per_mtok_usd, price.cache_write_per_mtok_usd
    return Rates(
        input=given,
        output=price.output_per_mtok_usd,
        cache_read=given if read is None else read,
        cache_write=given if write is None else write,
    )


def _bundled_rates(model: str, price: ModelPrice, total_input: int) -> Rates:
    rate = {key: _at_tier(value, total_input) for key, value in vars(price).items() if value is not None}
    # A bundled price of zero is a free tier of some provider, and the same name elsewhere is not free.
    if not rate.get("input_mtok") or not rate.get("output_mtok"):
        raise UnknownPrice(model)
    return Rates(
        input=rate["input_mtok"],
        output=rate["output_mtok"],
        cache_read=rate.get("cache_read_mtok", rate["input_mtok"]),
        cache_write=rate.get("cache_write_mtok", rate["input_mtok"]),
    )


def _at_tier(value: Decimal | TieredPrices, total_input: int) -> Decimal:
    if isinstance(value, Decimal):
        return value
    return next((tier.price for tier in reversed(value.tiers) if total_input > tier.start), value.base)


def _rounded_up(amount: Decimal) -> int:
    return int(amount.to_integral_value(rounding=ROUND_CEILING))
