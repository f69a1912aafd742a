"""The outside, as the stages' ports see it: `effects` behind `streams.ports`. Built by the bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from effects.actions.http import HttpClient
from effects.actions.kafka import PublishFailed
from effects.actions.outbound import Connection
from effects.actions.perform import perform
from effects.actions.protocol import Call, Handler
from effects.actions.registry import Ports, build
from effects.llm.chain import ProviderChain
from effects.llm.protocol import AllProvidersFailed
from processors.charter.compiled import CompiledCharter
from processors.charter.playbooks import HttpHandler
from processors.charter.quantities import Rate
from processors.deciding import ModelUnavailable
from processors.model import ModelReply, ModelRequest
from processors.playbook import RunStep
from streams.ports import Performed


class ProviderModels:
    """`streams.ports.Models` over a chain of providers. The chain's clients belong to the loop that first asks."""

    def __init__(self, chain: ProviderChain) -> None:
        self._chain = chain

    async def ask(self, providers: Sequence[str], request: ModelRequest) -> ModelReply | ModelUnavailable:
        try:
            return await self._chain.ask(providers, request)
        except AllProvidersFailed as error:
            return ModelUnavailable(reasons=error.fallbacks, maybe_paid_microusd=error.spent_microusd)

    async def close(self) -> None:
        await self._chain.aclose()


class CharterActions:
    """`streams.ports.Actions`: the handlers of each charter version, built when it first acts."""

    def __init__(self, connections: Mapping[str, Connection]) -> None:
        self._connections = connections
        self._handlers: dict[str, dict[str, Handler]] = {}
        self._client: HttpClient | None = None

    def repeatable(self, compiled: CompiledCharter, handler: str) -> bool:
        return self._handlers_of(compiled)[handler].repeatable

    def retries(self, compiled: CompiledCharter, handler: str) -> int:
        policy = compiled.charter.handlers[handler]
        return policy.retries if isinstance(policy, HttpHandler) else 0

    def rate(self, compiled: CompiledCharter, handler: str) -> Rate | None:
        connection = self._connections.get(compiled.charter.handlers[handler].outside)
        return connection.rate if connection else None

    async def perform(self, compiled: CompiledCharter, step: RunStep, subject: str, traceparent: str) -> Performed:
        call = Call(step.step_id, subject, step.request, traceparent)
        result = await perform(self._handlers_of(compiled)[step.handler], call, begun=step.begun)
        return Performed(
            result.status, result.result, result.error, result.retryable, result.retry_after_seconds, result.answered
        )

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    def _handlers_of(self, compiled: CompiledCharter) -> dict[str, Handler]:
        known = self._handlers.get(compiled.version)
        if known is None:
            # Here and not in __init__: the client belongs to the running loop.
            self._client = self._client or HttpClient(self._connections.values())
            known = build(compiled.charter.handlers, self._connections, Ports(self._client, _no_outside_topics))
            self._handlers[compiled.version] = known
        return known


async def _no_outside_topics(topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes]) -> None:
    raise PublishFailed(f"no outside topic is allowed, {topic} neither")
