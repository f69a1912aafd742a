"""A table without Faust and a producer without a broker, for tests of what lies on top of them.

`MemoryTable` is a real `FactTable` whose changelog nobody has to recover; `HeldProducer` delivers when it is told to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import faust

from streams.runtime.producer import Message, NotDelivered
from streams.runtime.tables import FactTable


@dataclass
class Sent:
    """One call of `send`."""

    messages: list[Message]
    future: asyncio.Future[None] = field(default_factory=asyncio.Future)

    def deliver(self) -> None:
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
    """Remembers what it was given; each delivery is told."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def send(self, messages: Iterable[Message]) -> asyncio.Future[None]:
        sent = Sent(list(messages))
        self.sent.append(sent)
        if not sent.messages:
            sent.deliver()
        return sent.future

    def close(self) -> None:
        """Nothing is held."""


def table(name: str, partitions: int = 4) -> FactTable:
    """A table whose partitions are all ours."""
    app = faust.App("memory", broker="kafka://nowhere", store="memory://", topic_partitions=partitions)
    made = FactTable(app, name=name, partitions=partitions)
    for partition in range(partitions):
        made._terms[partition] = 1
    return made


async def turns(count: int = 5) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)
