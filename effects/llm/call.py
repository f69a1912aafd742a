"""One call to a provider while it is under way: its price before, its cost and latency after.

Both providers make one for each question, so that no question is sent whose price is unknown, and every end of a call,
good or bad, says what it cost.
"""

import time
from datetime import datetime

from pydantic import SecretStr

from effects.llm.protocol import MEANINGS, Kind, ModelError, Paid
from effects.secrets import without
from processors.model import ModelReply, ModelRequest, ModelUsage
from processors.prices import UnknownPrice, price_microusd, worst_request_price_microusd
from processors.replies import MAX_ANSWER_CHARACTERS

DETAIL_CHARACTERS = 300


class Call:
    """Raises `ModelError` of kind `unknown_price` when made for a model that has none."""

    def __init__(self, provider: str, request: ModelRequest, at: datetime, secret: SecretStr | None = None) -> None:
        self.provider = provider
        self.request = request
        self.at = at
        self.started = time.monotonic()
        self._secret = secret.get_secret_value() if secret else None
        try:
            self.worst_microusd = worst_request_price_microusd(request, at)
        except UnknownPrice as error:
            raise ModelError(Kind.UNKNOWN_PRICE, str(error)) from error

    def failed(
        self, kind: Kind, detail: str, usage: ModelUsage | None = None, retry_after_seconds: float = 0.0
    ) -> ModelError:
        """The error to raise; `usage` where an answer came and cannot be used."""
        spent = self.worst_microusd if MEANINGS[kind].paid is Paid.UNKNOWN else 0
        if usage is not None:
            spent = self._cost_microusd(usage)
        return ModelError(kind, without(self._secret, detail)[:DETAIL_CHARACTERS], spent, retry_after_seconds)

    def answered(self, text: str, stop_reason: str, usage: ModelUsage, request_id: str | None) -> ModelReply:
        """The reply to return, priced as the model that was asked for: providers answer under longer names."""
        return ModelReply(
            provider=self.provider,
            model=self.request.model,
            # What is longer is no answer, and must not be too long to be recorded: one character more says so.
            text=without(self._secret, text[: MAX_ANSWER_CHARACTERS + 1]),
            stop_reason=stop_reason,
            usage=usage,
            cost_microusd=self._cost_microusd(usage),
            latency_ms=round((time.monotonic() - self.started) * 1_000),
            request_id=request_id,
        )

    def _cost_microusd(self, usage: ModelUsage) -> int:
        return price_microusd(self.request.model, usage, self.at, self.request.prices)
