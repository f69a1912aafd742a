"""The request to a model, its reply, and the reasons if no model replied, as records.

`processors/prompts.py` and `processors/deciding.py` build requests and read replies; `effects/llm` sends them. A reply
is recorded completely, so a replay sends the same replies to today's code.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, Literal

import orjson
from pydantic import Field

from nightdesk.schemas.records import Fallback, Record

# The two reasons of a `Fallback` that say more than that the provider did not answer.
REFUSED = "refused"
STOPPED = "stopped"

# Returns when a provider may be asked, or says why it may not. Nothing is awaited between its answer and the call.
WhyNot = Callable[[], Awaitable[str]]


class TokenPrice(Record):
    """The price of a model that the bundled table lacks or has wrong: your own server, a discount, another region.

    US dollars per million tokens. A missing cache price is the input price.
    """

    input_per_mtok_usd: Decimal = Field(ge=0)
    output_per_mtok_usd: Decimal = Field(ge=0)
    cache_read_per_mtok_usd: Decimal | None = Field(default=None, ge=0)
    cache_write_per_mtok_usd: Decimal | None = Field(default=None, ge=0)


class ModelRequest(Record):
    """One complete question to a model.

    `system` is the part that is the same in every case, so that providers can cache it; `prompt` is rendered. `models`
    has the model's name for providers that use another name. `prices` overrides the bundled prices.
    """

    model: str
    system: str
    prompt: str
    answer_schema: dict[str, Any]
    max_output_tokens: int = Field(ge=1)
    timeout_seconds: float = Field(gt=0)
    effort: Literal["low", "medium", "high"] | None = None
    models: dict[str, str] = Field(default_factory=dict)
    prices: dict[str, TokenPrice] = Field(default_factory=dict)

    def for_provider(self, provider: str) -> "ModelRequest":
        """The same question with the model name of this provider."""
        model = self.models.get(provider, self.model)
        return self if model == self.model else self.model_copy(update={"model": model})

    def digest(self) -> str:
        """SHA-256 (hex) of the question. It excludes prices and timeout, which do not change the answer."""
        asked = self.model_dump(mode="json", exclude={"timeout_seconds", "prices"})
        return sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


class ModelUsage(Record):
    """Tokens of one call. The four numbers are disjoint: `input_tokens` excludes tokens read from or written to a
    cache.
    """

    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    cache_read_tokens: int = Field(default=0, ge=0)
    cache_write_tokens: int = Field(default=0, ge=0)


class ModelReply(Record):
    """One reply, recorded completely. `text` is the raw text and may be anything: `processors/replies.py` checks it.

    `cost_microusd` is the cost of this reply. `unanswered_cost_microusd` is the charge for the providers in
    `fallbacks` and for lost replies: their cost, or the most that they may have cost if nobody knows. `request_id` is
    the provider's name for the call. `asked_ms` is how long the question took, all providers together. `sent_at` is
    when the last of them was called, by the worker's clock; None in replies of older versions.
    """

    provider: str
    model: str
    text: str
    stop_reason: str
    usage: ModelUsage
    cost_microusd: int = Field(ge=0)
    latency_ms: int = Field(ge=0)
    request_id: str | None = None
    fallbacks: tuple[Fallback, ...] = ()
    unanswered_cost_microusd: int = Field(default=0, ge=0)
    asked_ms: int = Field(default=0, ge=0)
    sent_at: datetime | None = None

    @property
    def total_microusd(self) -> int:
        """What the call is charged with, all providers together."""
        return self.cost_microusd + self.unanswered_cost_microusd


class ModelUnavailable(Record):
    """No provider answered: those in `reasons` were asked or skipped, in this order.

    `unanswered_cost_microusd` is their total cost, or the most that they may have cost if nobody knows. `retryable`:
    the same question may be answered later. `REFUSED` or `STOPPED` as the last reason says why no other provider was
    asked. `asked_ms` and `sent_at` are as in `ModelReply`; `sent_at` is None if no provider was called.
    """

    reasons: tuple[Fallback, ...]
    unanswered_cost_microusd: int = Field(default=0, ge=0)
    retryable: bool = False
    asked_ms: int = Field(default=0, ge=0)
    sent_at: datetime | None = None

    @property
    def called(self) -> bool:
        """Whether at least one provider was called, so that the question counts as one."""
        return any(reason.called for reason in self.reasons)

    @property
    def is_refused(self) -> bool:
        """Whether a model declined to answer."""
        return self.last.reason == REFUSED

    @property
    def is_stopped(self) -> bool:
        """Whether an order keeps the agent from asking."""
        return self.last.reason == STOPPED

    @property
    def last(self) -> Fallback:
        """The provider that was asked or skipped last."""
        return self.reasons[-1] if self.reasons else Fallback(provider="", reason="")

    def why(self) -> str:
        """All reasons as one text."""
        return "; ".join(
            f"{each.provider} {each.reason}" + (f" ({each.detail})" if each.detail else "") for each in self.reasons
        )


def stopped(provider: str, order: str, unanswered_cost_microusd: int = 0) -> ModelUnavailable:
    """No question may be asked now, because of an order."""
    reason = Fallback(provider=provider, reason=STOPPED, detail=order)
    return ModelUnavailable(reasons=(reason,), unanswered_cost_microusd=unanswered_cost_microusd, retryable=True)
