"""One running call to a provider: its price before, its cost and latency after.

A provider creates one for each question, so that it sends no question of unknown price, and every result has its cost.
"""

import time
from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, SecretStr, ValidationError

from nightdesk.effects.llm.protocol import MEANINGS, Kind, ModelError, NotCalled, Paid
from nightdesk.effects.secrets import redact
from nightdesk.processors.json_text import repeats_key
from nightdesk.processors.model import ModelReply, ModelRequest, ModelUsage
from nightdesk.processors.prices import UnknownPrice, price_microusd, worst_request_price_microusd
from nightdesk.processors.replies import MAX_ANSWER_CHARACTERS

# A usable answer has at most 262,144 characters of up to six bytes each; a longer body is no answer.
BODY_BYTES_AT_MOST = 16_000_000
# Values in a body's JSON. Parsed, it takes fifty times its bytes if they are all brackets and commas.
VALUES_AT_MOST = 500_000
DETAIL_CHARACTERS = 300
NAME_CHARACTERS = 200
# More than any model produces. A larger number is no token count.
TOKENS_AT_MOST = 1_000_000_000
# A token count of a provider. Strict: no text, no fraction, no boolean.
Tokens = Annotated[int, Field(ge=0, le=TOKENS_AT_MOST, strict=True)]

M = TypeVar("M", bound=BaseModel)


class ProviderCall:
    """Raises `NotCalled` of kind `unknown_price` if the model has no price."""

    def __init__(self, provider: str, request: ModelRequest, at: datetime, secret: SecretStr | None = None) -> None:
        self.provider = provider
        self.request = request
        self.at = at
        self.started = time.monotonic()
        self._secret = secret.get_secret_value() if secret else None
        try:
            self.worst_microusd = worst_request_price_microusd(request, at)
        except UnknownPrice as error:
            raise NotCalled(Kind.UNKNOWN_PRICE, str(error)) from error

    def read(self, kind: type[M], body: bytes, name: str) -> M:
        """The body as `kind`; `name` is for messages. Raises `ModelError` if it does not match."""
        if sum(map(body.count, (b",", b"[", b"{"))) > VALUES_AT_MOST:
            raise self.failed(Kind.MALFORMED_HTTP, f"the answer has more than {VALUES_AT_MOST} values in it")
        try:
            found = kind.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = (
                [".".join(map(str, first["loc"][:5]))] if first["loc"] else []
            )  # an error has no place if the body is not JSON
            reason = ": ".join([f"the answer is not a {name}", *where, first["msg"]])
            raise self.failed(Kind.MALFORMED_HTTP, reason) from None
        # Of two texts or two token counts nobody can say which one was meant.
        if repeated := repeats_key(body.decode()):
            raise self.failed(Kind.MALFORMED_HTTP, f"the answer {repeated}")
        return found

    def failed(
        self, kind: Kind, detail: str, usage: ModelUsage | None = None, retry_after_seconds: float = 0.0
    ) -> ModelError:
        """The error to raise; `usage` is set if a response came that cannot be used."""
        spent = self.worst_microusd if MEANINGS[kind].paid is Paid.UNKNOWN else 0
        if usage is not None:
            spent = self._cost_microusd(usage)
        return ModelError(
            kind, _recordable(redact(self._secret, detail), DETAIL_CHARACTERS), spent, retry_after_seconds
        )

    def answered(self, text: str, stop_reason: str, usage: ModelUsage, request_id: str | None) -> ModelReply:
        """The reply to return, priced as the requested model, because providers answer with longer model names."""
        return ModelReply(
            provider=self.provider,
            model=self.request.model,
            # A longer text is no answer. It is cut so that it can be recorded; one character more shows that it was too
            # long.
            text=redact(self._secret, text[: MAX_ANSWER_CHARACTERS + 1]),
            stop_reason=_recordable(stop_reason, NAME_CHARACTERS),
            usage=usage,
            cost_microusd=self._cost_microusd(usage),
            latency_ms=round((time.monotonic() - self.started) * 1_000),
            request_id=request_id and _recordable(request_id, NAME_CHARACTERS),
        )

    def _cost_microusd(self, usage: ModelUsage) -> int:
        return price_microusd(self.request.model, usage, self.at, self.request.prices)


def _recordable(text: str, characters_at_most: int) -> str:
    """The beginning of a foreign text, as valid Unicode. A header may have bytes that are not valid."""
    return text[:characters_at_most].encode(errors="replace").decode()
