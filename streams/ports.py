"""What the stages need of the outside, as they see it. The bootstrap gives in what `effects` has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from processors.charter.compiled import CompiledCharter
from processors.charter.quantities import Rate
from processors.deciding import ModelUnavailable
from processors.model import ModelReply, ModelRequest
from processors.playbook import RunStep


class Models(Protocol):
    """The model providers, in the order in which they are named."""

    async def ask(self, providers: Sequence[str], request: ModelRequest) -> ModelReply | ModelUnavailable:
        """An answer, or why there is none and what that may have cost. Never raises for a provider's failure."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Performed:
    """What came of one call. `failed`: it did not happen; `unknown`: it may have. `retryable`: the same call may be
    made again later, and then it happens once at most. `answered`: whether the other side is there and works; None
    where it was not asked.
    """

    status: Literal["done", "failed", "unknown"]
    result: str = "null"
    error: str | None = None
    retryable: bool = False
    retry_after_seconds: int | None = None
    answered: bool | None = None


class Actions(Protocol):
    """The handlers of the charters' playbooks."""

    def repeatable(self, compiled: CompiledCharter, handler: str) -> bool:
        """Whether the same call twice, with one key, changes the world once."""

    def retries(self, compiled: CompiledCharter, handler: str) -> int:
        """How many times a failed call may be made again."""

    def rate(self, compiled: CompiledCharter, handler: str) -> Rate | None:
        """How often the system that the handler calls may be called, where that is limited."""

    async def perform(self, compiled: CompiledCharter, step: RunStep, subject: str, traceparent: str) -> Performed:
        """Make the call of a step. Never raises for the other side's failure."""

    async def close(self) -> None: ...
