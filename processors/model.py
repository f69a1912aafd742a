"""What is asked of a model and what it answered: the two halves of one call, as records.

`processors/prompts.py` and `processors/deciding.py` make requests and read replies; `effects/llm` carries them. A reply
is recorded whole, so that replay is feeding the same replies to today's code.
"""

from decimal import Decimal
from hashlib import sha256
from typing import Any, Literal

import orjson
from pydantic import Field

from schemas.records import Fallback, Record


class TokenPrice(Record):
    """What a model costs where the bundled table is wrong or silent: one's own server, a discount, another region.

    US dollars per million tokens. A cache price left out is the input price.
    """

    input_per_mtok_usd: Decimal = Field(ge=0)
    output_per_mtok_usd: Decimal = Field(ge=0)
    cache_read_per_mtok_usd: Decimal | None = Field(default=None, ge=0)
    cache_write_per_mtok_usd: Decimal | None = Field(default=None, ge=0)


class ModelRequest(Record):
    """One question to a model, complete: nothing is looked up later.

    `system` is the part that stays the same from case to case, so that providers can cache it; `prompt` is rendered.
    `models` names the model for a provider that knows `model` by another name. `prices` overrides the bundled prices.
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
        """The same question with `model` as this provider calls it."""
        model = self.models.get(provider, self.model)
        return self if model == self.model else self.model_copy(update={"model": model})

    def digest(self) -> str:
        """SHA-256 (hex) of what the model is asked. Prices and the timeout do not change an answer and are left out."""
        asked = self.model_dump(mode="json", exclude={"timeout_seconds", "prices"})
        return sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


class ModelUsage(Record):
    """Tokens of one call. The four are disjoint: `input_tokens` are those neither read from nor written to a cache."""

    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    cache_read_tokens: int = Field(default=0, ge=0)
    cache_write_tokens: int = Field(default=0, ge=0)


class ModelReply(Record):
    """One answer, recorded whole. `text` is the raw answer and may be anything: `processors/replies.py` judges it.

    `cost_microusd` is what this answer cost; `passed_over_microusd` what the providers in `fallbacks` have cost or,
    where nobody knows, may have cost at worst. `request_id` is the provider's name for the call.
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
    passed_over_microusd: int = Field(default=0, ge=0)

    @property
    def total_microusd(self) -> int:
        """What the call has to be charged with, all providers together."""
        return self.cost_microusd + self.passed_over_microusd
