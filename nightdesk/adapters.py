"""Implements the stages' ports (`nightdesk.streams.ports`) with `effects`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from nightdesk.effects.channels import registry as channels
from nightdesk.effects.channels.addresses import MailServer, RouteAddress, RouteInvalid
from nightdesk.effects.channels.channel import Channel, ChannelPorts
from nightdesk.effects.channels.http import connection_of
from nightdesk.effects.handlers.handler_spec import Ports
from nightdesk.effects.handlers.http_client import HttpClient
from nightdesk.effects.handlers.outbound import Connection
from nightdesk.effects.handlers.perform import perform
from nightdesk.effects.handlers.protocol import Handler, Previews, PublishFailed, StepCall
from nightdesk.effects.handlers.registry import build
from nightdesk.effects.llm.chain import ProviderChain
from nightdesk.messaging.producer import Message, NotDelivered, Producer
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.execution import StepPolicy
from nightdesk.processors.model import ModelReply, ModelRequest, ModelUnavailable, WhyNot
from nightdesk.processors.notifications import Message as Notice
from nightdesk.processors.notifications import RoutePolicy
from nightdesk.processors.playbook import RunStep, StepResult
from nightdesk.streams.metrics import MODEL_CALLS


class ProviderModels:
    """`streams.ports.Models` over a chain of providers. The chain's clients belong to the loop that first uses them."""

    def __init__(self, chain: ProviderChain) -> None:
        self._chain = chain

    async def ask(
        self, providers: Sequence[str], request: ModelRequest, agent: str, why_not: WhyNot
    ) -> ModelReply | ModelUnavailable:
        answer = await self._chain.ask(providers, request, why_not)
        _count(answer, agent)
        return answer

    async def close(self) -> None:
        await self._chain.aclose()


def _count(answer: ModelReply | ModelUnavailable, agent: str) -> None:
    if isinstance(answer, ModelReply):
        MODEL_CALLS.labels(agent, answer.provider, answer.model, "answered").inc()
        passed_over = answer.fallbacks
    else:
        passed_over = answer.reasons
    for each in filter(lambda one: one.called, passed_over):
        MODEL_CALLS.labels(agent, each.provider, "", each.reason).inc()


class OutsideTopics:
    """The outside topics that handlers may produce to, and a producer that connects when it is first needed."""

    def __init__(self, names: frozenset[str], client_config: Mapping[str, Any], delivery_timeout_s: float) -> None:
        self.names = names
        self._client_config = client_config
        self._delivery_timeout_s = delivery_timeout_s
        self._producer: Producer | None = None

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes]) -> None:
        """`effects.handlers.protocol.Publish`."""
        self._producer = self._producer or Producer(self._client_config, self._delivery_timeout_s)
        try:
            await self._producer.send([Message(topic, key, value, tuple(headers.items()))])
        except NotDelivered as error:
            raise PublishFailed(str(error)) from error

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close()


class CharterActions:
    """`nightdesk.streams.ports.Actions`: the handlers of each charter version, built when it first acts."""

    def __init__(self, connections: Mapping[str, Connection], outside_topics: OutsideTopics) -> None:
        self._connections = connections
        self._outside_topics = outside_topics
        self._handlers: dict[str, dict[str, Handler]] = {}
        self._client: HttpClient | None = None

    def policy(self, compiled: CompiledCharter, handler: str) -> StepPolicy:
        policy = compiled.charter.handlers[handler]
        connection = self._connections.get(policy.outside)
        return StepPolicy(
            handler=policy,
            repeatable=self._handlers_of(compiled)[handler].repeatable,
            retries=policy.call_rules.retries,
            connection_rate=connection.rate if connection else None,
        )

    def preview(self, compiled: CompiledCharter, step: RunStep, subject: str) -> StepResult:
        handler = self._handlers_of(compiled)[step.handler]
        call = StepCall(step.step_id, subject, step.request)
        if isinstance(handler, Previews):
            return handler.preview(call)
        return StepResult("done", orjson.dumps(step.request).decode())

    async def perform(self, compiled: CompiledCharter, step: RunStep, subject: str, traceparent: str) -> StepResult:
        call = StepCall(step.step_id, subject, step.request, traceparent)
        return await perform(self._handlers_of(compiled)[step.handler], call, begun=step.begun)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
        self._outside_topics.close()

    def _handlers_of(self, compiled: CompiledCharter) -> dict[str, Handler]:
        known = self._handlers.get(compiled.version)
        if known is None:
            # Created here and not in __init__, because the client belongs to the running loop.
            self._client = self._client or HttpClient(self._connections.values())
            topics = self._outside_topics
            ports = Ports(self._client, topics.publish, topics.names, self._connections, compiled.agent)
            known = build(compiled.charter.handlers, ports)
            self._handlers[compiled.version] = known
        return known


class RouteNotifier:
    """`nightdesk.streams.ports.Notifier`: the channels of the settings' routes, built when a message is first sent."""

    def __init__(
        self,
        routes: Mapping[str, RoutePolicy],
        addresses: Sequence[RouteAddress],
        outside_topics: OutsideTopics,
        mail: MailServer | None,
    ) -> None:
        self.routes = routes
        self.closes = frozenset(address.name for address in addresses if address.channel in channels.CLOSING)
        self._addresses = {address.name: address for address in addresses}
        self._outside_topics = outside_topics
        self._mail = mail
        self._client: HttpClient | None = None
        self._channels: dict[str, Channel] = {}

    async def send(self, message: Notice) -> StepResult:
        """Send to the route that the message names. A route that cannot work fails for good."""
        try:
            channel = self._channels.get(message.route) or self._open(message.route)
        except RouteInvalid as error:
            return StepResult("failed", error=str(error))
        return await channel.send(message)

    def _open(self, route: str) -> Channel:
        address = self._addresses[route]
        # Here and not in __init__, because the client belongs to the running loop.
        self._client = self._client or HttpClient(list(self._connections()))
        ports = ChannelPorts(self._client, self._outside_topics.publish, self._outside_topics.names, self._mail)
        self._channels[route] = channels.build([address], ports)[route]
        return self._channels[route]

    def _connections(self) -> Iterator[Connection]:
        """The hosts that may be called. A route with an invalid url fails when it is used, and does not affect other
        routes.
        """
        for address in self._addresses.values():
            try:
                if address.url:
                    yield connection_of(address)
            except RouteInvalid:
                continue

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
        self._outside_topics.close()
