"""Asks the providers in the charter's order until one answers, each behind its circuit breaker.

Called by the decide stage for every `AskModel`. There is no retry here: the next provider is the retry, and when none
is left the stage decides by the charter's rules or later. `rules` is no provider: what comes after it is never asked.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile

from effects.llm.protocol import AllProvidersFailed, Kind, ModelError, Provider
from processors.breaker import Policy, Report, Result, State, admit, record
from processors.model import ModelReply, ModelRequest
from processors.prices import RULES
from schemas.records import Fallback

DEFAULT_POLICY = Policy()


class ProviderChain:
    """`providers`: those that are configured; a charter may name others. `clock`: seconds that do not go back."""

    def __init__(
        self,
        providers: Iterable[Provider],
        policy: Policy = DEFAULT_POLICY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._policy = policy
        self._clock = clock
        self._circuits = {name: State() for name in self._providers}

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

    def circuits(self) -> dict[str, str]:
        """Each provider's circuit: `closed`, `open` or `half_open`. For readiness pages and metrics."""
        return {name: str(state.status) for name, state in self._circuits.items()}

    async def aclose(self) -> None:
        for provider in self._providers.values():
            await provider.aclose()

    async def _ask_one(self, name: str, request: ModelRequest) -> ModelReply:
        if name not in self._providers:
            raise ModelError(Kind.NOT_CONFIGURED, f"the settings hold no credentials or address for {name!r}")
        state, generation = admit(self._policy, self._circuits[name], self._clock())
        self._circuits[name] = state
        if generation is None:
            raise ModelError(Kind.CIRCUIT_OPEN, f"{name} has failed {self._policy.failures_to_open} times in a row")
        report = Report(generation, Result.ABANDONED)  # stands when we are cancelled
        try:
            reply = await self._providers[name].ask(request)
            report = Report(generation, Result.SUCCEEDED)
            return reply
        except ModelError as error:
            report = Report(generation, _result(error), error.retry_after_seconds)
            raise
        finally:
            self._circuits[name] = record(self._policy, self._circuits[name], report, self._clock())


def _result(error: ModelError) -> Result:
    if error.kind is Kind.UNKNOWN_PRICE:
        return Result.ABANDONED  # never sent
    return Result.FAILED if error.meaning.trips else Result.SUCCEEDED
