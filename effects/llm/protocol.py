"""The protocol of a model provider, and the ways in which it can fail.

`chain.py` asks providers through `Provider` and returns a `ModelUnavailable` if none answers. Every failure is a
`ModelError` of one kind, and the table below is the only definition of what each kind means.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol

from nightdesk.processors.model import ModelReply, ModelRequest


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
    STOPPED = "stopped"
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
    KNOWN = "known"  # the response reported its token counts
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
    Kind.STOPPED: Meaning(True, False, False, Paid.NO),
    Kind.AUTHENTICATION: Meaning(False, True, True, Paid.NO),
    Kind.REJECTED: Meaning(False, True, False, Paid.NO),
    # Another model may have a larger context window. A model that reached its limit while answering is charged and
    # reports its tokens.
    Kind.CONTEXT_EXCEEDED: Meaning(False, True, False, Paid.KNOWN),
    Kind.RATE_LIMITED: Meaning(True, True, True, Paid.NO),
    Kind.OVERLOADED: Meaning(True, True, True, Paid.NO),
    Kind.CONNECTION: Meaning(True, True, True, Paid.NO),
    # From here on the model may have answered: no error of a server proves that it did not.
    Kind.SERVER_ERROR: Meaning(True, True, True, Paid.UNKNOWN),
    Kind.CONNECTION_LOST: Meaning(True, True, True, Paid.UNKNOWN),
    Kind.TIMEOUT: Meaning(True, True, True, Paid.UNKNOWN),
    Kind.MALFORMED_HTTP: Meaning(True, True, True, Paid.UNKNOWN),
    # The next provider has the same token limit, and no provider is asked for what another refused.
    Kind.TRUNCATED: Meaning(False, False, False, Paid.KNOWN),
    Kind.REFUSED: Meaning(False, False, False, Paid.KNOWN),
}


class ModelError(Exception):
    """A provider did not give an answer.

    `unanswered_cost_microusd`: what the call cost or, where `meaning.paid` is unknown, may have cost at worst.
    `retry_after_seconds`: as the provider asked, else 0.
    """

    def __init__(
        self, kind: Kind, message: str, unanswered_cost_microusd: int = 0, retry_after_seconds: float = 0.0
    ) -> None:
        super().__init__(kind, message, unanswered_cost_microusd, retry_after_seconds)
        self.kind = kind
        self.message = message
        self.unanswered_cost_microusd = unanswered_cost_microusd
        self.retry_after_seconds = retry_after_seconds

    @property
    def meaning(self) -> Meaning:
        return MEANINGS[self.kind]

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class NotCalled(ModelError):
    """The provider was not called at all, so there is no call to count."""
