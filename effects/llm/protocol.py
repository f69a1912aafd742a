"""What a model provider is, and the ways in which it can fail.

`chain.py` asks providers through `Provider`; the decide stage sees `AllProvidersFailed`. Every failure is a
`ModelError` of one kind, and what each kind means is the table below and nowhere else.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol

from processors.model import ModelReply, ModelRequest
from schemas.records import Fallback


class Provider(Protocol):
    """One way to ask a model. `ask` raises `ModelError` and nothing else; it never retries."""

    @property
    def name(self) -> str: ...

    async def ask(self, request: ModelRequest) -> ModelReply: ...

    async def aclose(self) -> None: ...


class Kind(StrEnum):
    NOT_CONFIGURED = "not_configured"
    CIRCUIT_OPEN = "circuit_open"
    UNKNOWN_PRICE = "unknown_price"
    AUTHENTICATION = "authentication"
    REJECTED = "rejected"
    CONTEXT_EXCEEDED = "context_exceeded"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    CONNECTION = "connection"
    CONNECTION_LOST = "connection_lost"
    TIMEOUT = "timeout"
    MALFORMED_HTTP = "malformed_http"
    TRUNCATED = "truncated"
    REFUSED = "refused"


class Paid(StrEnum):
    NO = "no"
    KNOWN = "known"  # the answer said how many tokens it took
    UNKNOWN = "unknown"  # charged at the worst price


class Meaning(NamedTuple):
    """`retryable`: the same question may be answered later. `falls_through`: the next provider is asked instead.

    `trips`: counts against the provider's circuit.
    """

    retryable: bool
    falls_through: bool
    trips: bool
    paid: Paid


MEANINGS: Mapping[Kind, Meaning] = {
    #                              retryable, falls_through, trips, paid
    Kind.NOT_CONFIGURED: Meaning(False, True, False, Paid.NO),
    Kind.CIRCUIT_OPEN: Meaning(True, True, False, Paid.NO),
    Kind.UNKNOWN_PRICE: Meaning(False, True, False, Paid.NO),
    Kind.AUTHENTICATION: Meaning(False, True, True, Paid.NO),
    Kind.REJECTED: Meaning(False, True, False, Paid.NO),
    # Another model may have more room. A model that ran full while answering is paid and says so.
    Kind.CONTEXT_EXCEEDED: Meaning(False, True, False, Paid.KNOWN),
    Kind.RATE_LIMITED: Meaning(True, True, True, Paid.NO),
    Kind.OVERLOADED: Meaning(True, True, True, Paid.NO),
    Kind.SERVER_ERROR: Meaning(True, True, True, Paid.NO),
    Kind.CONNECTION: Meaning(True, True, True, Paid.NO),
    # From here on the question had been sent, and the model may have answered it.
    Kind.CONNECTION_LOST: Meaning(True, True, True, Paid.UNKNOWN),
    Kind.TIMEOUT: Meaning(True, True, True, Paid.UNKNOWN),
    Kind.MALFORMED_HTTP: Meaning(True, True, True, Paid.UNKNOWN),
    # The next provider is limited to as many tokens, and no provider is asked to say what another would not.
    Kind.TRUNCATED: Meaning(False, False, False, Paid.KNOWN),
    Kind.REFUSED: Meaning(False, False, False, Paid.KNOWN),
}


class ModelError(Exception):
    """A provider did not give an answer.

    `spent_microusd`: what the call cost, or may have cost at worst where `meaning.paid` is unknown.
    `retry_after_seconds`: as the provider asked, else 0.
    """

    def __init__(self, kind: Kind, message: str, spent_microusd: int = 0, retry_after_seconds: float = 0.0) -> None:
        super().__init__(kind, message, spent_microusd, retry_after_seconds)
        self.kind = kind
        self.message = message
        self.spent_microusd = spent_microusd
        self.retry_after_seconds = retry_after_seconds

    @property
    def meaning(self) -> Meaning:
        return MEANINGS[self.kind]

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class AllProvidersFailed(Exception):
    """No provider answered: those named in `fallbacks` were asked or passed over, in this order, for these reasons.

    `spent_microusd`: what they cost together, at worst. `retryable`: asking again later may help.
    """

    def __init__(self, fallbacks: tuple[Fallback, ...], spent_microusd: int, retryable: bool) -> None:
        super().__init__(fallbacks, spent_microusd, retryable)
        self.fallbacks = fallbacks
        self.spent_microusd = spent_microusd
        self.retryable = retryable

    def __str__(self) -> str:
        reasons = "; ".join(f"{each.provider}: {each.reason} ({each.detail})" for each in self.fallbacks)
        return f"no model provider answered: {reasons or 'the charter names none'}"
