"""Asks the providers in the charter's order until one answers, each behind its circuit breaker.

There is no retry of a provider; the next provider is asked instead. If none is left, `retryable` says whether the cause
is temporary: then the case may wait, otherwise the charter's rules or a person decide. `rules` is no model provider:
providers after it are never asked.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Protocol

from nightdesk.effects.llm.protocol import MEANINGS, Kind, ModelError, NotCalled, Provider
from nightdesk.processors.breaker import CallReport, Result
from nightdesk.processors.model import ModelReply, ModelRequest, ModelUnavailable, WhyNot
from nightdesk.processors.prices import RULES
from nightdesk.schemas.records import Fallback

# Waiting does not help against these failures.
LASTING = frozenset(kind for kind, meaning in MEANINGS.items() if not meaning.retryable)


class Circuits(Protocol):
    """The circuit breakers by provider; the stage stores their states."""

    def admit(self, name: str) -> int | None:
        """The generation to report back with; None if the provider must not be asked."""

    def record(self, name: str, report: CallReport) -> None:
        """How an admitted call ended."""

    def cause(self, name: str) -> str:
        """The kind of failure that opened the circuit."""


def now() -> datetime:
    """The machine's current time in UTC."""
    return datetime.now(UTC)


@dataclass(slots=True)
class _Sent:
    """When the last provider was called; None if none was."""

    at: datetime | None = None


class ProviderChain:
    """`providers` are the configured ones; a charter may name others.

    A question first waits for one of the provider's `calls_at_once` places; only then the chain checks whether it may
    be asked.
    """

    def __init__(
        self,
        providers: Iterable[Provider],
        circuits: Circuits,
        calls_at_once: int = 1_000,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._circuits = circuits
        self._clock = clock
        self._room = {name: asyncio.Semaphore(calls_at_once) for name in self._providers}

    async def ask(self, names: Sequence[str], request: ModelRequest, why_not: WhyNot) -> ModelReply | ModelUnavailable:
        """The first answer, with the reasons why earlier providers gave none; or the reasons why none gave one.

        `why_not` is awaited directly before each provider is asked, because the previous one may have taken a minute.
        The failure is retryable if a provider may answer later, unless the last one ended the chain: a question that a
        model refused is not asked again.
        """
        fallbacks: tuple[Fallback, ...] = ()
        unanswered_cost_microusd, retryable, sent = 0, False, _Sent()
        for name in takewhile(lambda name: name != RULES, names):
            try:
                reply = await self._ask_one(name, request.for_provider(name), why_not, sent)
            except ModelError as error:
                called = not isinstance(error, NotCalled)
                fallbacks += (Fallback(provider=name, reason=error.kind, detail=error.message, called=called),)
                unanswered_cost_microusd += error.unanswered_cost_microusd
                retryable = retryable or error.meaning.retryable
                if not error.meaning.falls_through:
                    retryable = error.meaning.retryable
                    break
            else:
                charged = {"fallbacks": fallbacks, "unanswered_cost_microusd": unanswered_cost_microusd}
                return reply.model_copy(update={**charged, "sent_at": sent.at})
        return ModelUnavailable(
            reasons=fallbacks,
            unanswered_cost_microusd=unanswered_cost_microusd,
            retryable=retryable,
            sent_at=sent.at,
        )

    async def aclose(self) -> None:
        for provider in self._providers.values():
            await provider.aclose()

    async def _ask_one(self, name: str, request: ModelRequest, why_not: WhyNot, sent: _Sent) -> ModelReply:
        if name not in self._providers:
            raise NotCalled(Kind.NOT_CONFIGURED, f"the settings have no credentials or address for {name!r}")
        async with self._room[name]:
            reason = await why_not()
            if reason:
                raise NotCalled(Kind.STOPPED, reason)
            return await self._ask_now(name, request, sent)

    async def _ask_now(self, name: str, request: ModelRequest, sent: _Sent) -> ModelReply:
        generation = self._circuits.admit(name)
        if generation is None:
            raise _circuit_open(name, self._circuits.cause(name))
        report = CallReport(generation, Result.ABANDONED)  # the result if we are cancelled
        before, sent.at = sent.at, self._clock()
        try:
            reply = await self._providers[name].ask(request)
            report = CallReport(generation, Result.SUCCEEDED)
            return reply
        except ModelError as error:
            report = CallReport(generation, _result(error), error.retry_after_seconds, error.kind)
            if error.kind is Kind.UNKNOWN_PRICE:
                sent.at = before  # never sent
            raise
        finally:
            self._circuits.record(name, report)


def _circuit_open(name: str, cause: str) -> NotCalled:
    """The error for a provider that is not asked. A circuit that a lasting failure opened gives that failure."""
    message = f"{name} failed so often in a row that its circuit is open"
    if cause in LASTING:
        return NotCalled(Kind(cause), message)
    return NotCalled(Kind.CIRCUIT_OPEN, message)


def _result(error: ModelError) -> Result:
    if isinstance(error, NotCalled):
        return Result.ABANDONED
    return Result.FAILED if error.meaning.trips else Result.SUCCEEDED
