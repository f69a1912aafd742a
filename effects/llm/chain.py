"""Asks the providers in the charter's order until one answers, each behind its circuit breaker.

Called by the decide stage for every `AskModel`. There is no retry here: the next provider is the retry, and when none
is left the stage decides by the charter's rules or later. `rules` is no provider: what comes after it is never asked.
"""

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Protocol

from effects.llm.protocol import AllProvidersFailed, Kind, ModelError, Provider
from processors.breaker import Report, Result
from processors.model import ModelReply, ModelRequest
from processors.prices import RULES
from schemas.records import Fallback


class Circuits(Protocol):
    """The breakers by provider; the stage keeps their states."""

    def admit(self, name: str) -> int | None:
        """The generation to report back with; None when the provider is not to be asked."""

    def record(self, name: str, report: Report) -> None:
        """How an admitted call ended."""


class ProviderChain:
    """`providers`: those that are configured; a charter may name others."""

    def __init__(self, providers: Iterable[Provider], circuits: Circuits) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._circuits = circuits

    async def ask(self, names: Sequence[str], request: ModelRequest) -> ModelReply:
        """The first answer, with why the providers before it gave none. Raises `AllProvidersFailed`."""
        fallbacks: tuple[Fallback, ...] = ()
        spent_microusd, retryable = 0, False
        for name in takewhile(lambda name: name != RULES, names):
            try:
                reply = await self._ask_one(name, request.for_provider(name))
            except ModelError as error:
                fallbacks += (Fallback(provider=name, reason=error.kind, detail=error.message),)
                spent_microusd += error.spent_microusd
                retryable = retryable or error.meaning.retryable
                if not error.meaning.falls_through:
                    break
            else:
                return reply.model_copy(update={"fallbacks": fallbacks, "passed_over_microusd": spent_microusd})
        raise AllProvidersFailed(fallbacks, spent_microusd, retryable)

    async def aclose(self) -> None:
        for provider in self._providers.values():
            await provider.aclose()

    async def _ask_one(self, name: str, request: ModelRequest) -> ModelReply:
        if name not in self._providers:
            raise ModelError(Kind.NOT_CONFIGURED, f"the settings hold no credentials or address for {name!r}")
        generation = self._circuits.admit(name)
        if generation is None:
            raise ModelError(Kind.CIRCUIT_OPEN, f"{name} failed so often in a row that it is left alone for a while")
        report = Report(generation, Result.ABANDONED)  # stands when we are cancelled
        try:
            reply = await self._providers[name].ask(request)
            report = Report(generation, Result.SUCCEEDED)
            return reply
        except ModelError as error:
            report = Report(generation, _result(error), error.retry_after_seconds)
            raise
        finally:
            self._circuits.record(name, report)


def _result(error: ModelError) -> Result:
    if error.kind is Kind.UNKNOWN_PRICE:
        return Result.ABANDONED  # never sent
    return Result.FAILED if error.meaning.trips else Result.SUCCEEDED
