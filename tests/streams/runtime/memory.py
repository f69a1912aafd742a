"""State stores that own their partitions, and a producer without a broker: `HeldProducer` delivers when the test says
so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import faust

from nightdesk.messaging.producer import Message, NotDelivered, Span, Spans
from nightdesk.streams.api.state_store import StateStore
from nightdesk.streams.runtime.state.tables import FaustTable


@dataclass
class Sent:
    """One call of `send`."""

    messages: list[Message]
    spans: Spans | None = None
    future: asyncio.Future[None] = field(default_factory=asyncio.Future)

    def deliver(self) -> None:
        if self.spans is not None:
            self.spans[self.messages[0].topic, self.messages[0].partition] = Span(0, 0, 1)
        self.future.set_result(None)

    def refuse(self) -> None:
        self.future.set_exception(NotDelivered("refused"))

    @property
    def topics(self) -> set[str]:
        return {message.topic for message in self.messages}

    @property
    def values(self) -> list[bytes | None]:
        return [message.value for message in self.messages]


class HeldProducer:
    """Stores what it was given, and delivers on demand."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def send(self, messages: Iterable[Message], spans: Spans | None = None) -> asyncio.Future[None]:
        sent = Sent(list(messages), spans)
        self.sent.append(sent)
        if not sent.messages:
            sent.deliver()
        return sent.future

    def close(self) -> None:
        """Nothing is held."""


def table(name: str, partitions: int = 4) -> StateStore:
    """A state store that owns all of its partitions."""
    store = StateStore(name)
    begin_terms(store, partitions)
    return store


def begin_terms(store: StateStore, partitions: int = 4) -> None:
    """As after a recovery that found nothing."""
    for partition in range(partitions):
        store.begin_term(partition, 1)


def faust_table(store: StateStore, partitions: int = 4) -> FaustTable:
    """A table without a broker: the test calls its recovery."""
    app = faust.App("memory", broker="kafka://nowhere", store="memory://", topic_partitions=partitions)
    return FaustTable(app, store, partitions=partitions)


async def turns(count: int = 5) -> None:
    """Let the event loop run a few times."""
    for _ in range(count):
        await asyncio.sleep(0)
