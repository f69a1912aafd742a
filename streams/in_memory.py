"""Drives one stage from records in memory, without Kafka and without Faust: for tests and for replay.

It commits in the runtime's order: state, then output, then the offset. It does not do the work of the runtime's guard:
decoding, waiting for a charter, parking, dead letters. An exception of a handler is raised to the caller and leaves no
writes.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from nightdesk.messaging.producer import Headers, Message
from nightdesk.schemas.codec import Codec
from nightdesk.streams.api import Delivery, Stage, StagedWrites
from nightdesk.streams.api.state_store import Put


class InMemoryStage:
    """One stage that owns some partitions. It is its own `Commit`, which is durable at once unless a subclass changes
    that.

    `changelog` has every write in order, `output` every record that was emitted, and `committed` the next offset of
    each (topic, partition), as the broker would keep them.
    """

    def __init__(
        self,
        stage: Stage,
        codec: Codec,
        *,
        topic_prefix: str = "",
        partitions: Sequence[int] = (0,),
        changelog: Iterable[Message] = (),
    ) -> None:
        """`changelog` has the writes of an earlier process of the stage."""
        self.stage = stage
        self.changelog: list[Message] = []
        self.output: list[Message] = []
        self.committed: dict[tuple[str, int], int] = {}
        self._codec = codec
        self._topic_prefix = topic_prefix
        self._handlers = {route.topic: route.handler for route in stage.routes()}
        stage.bind(self)
        self._partitions = partitions
        self.recover(changelog)

    async def handle(self, delivery: Delivery[Any], headers: Headers = ()) -> StagedWrites:
        """Handle one record and commit its writes. Raises what the stage's handler raises."""
        writes = self.stage_writes(delivery.partition, headers or _trace(delivery))
        rest = self._handlers[delivery.topic](delivery, writes)
        if rest is not None:
            await rest()
        self.make_durable(writes)
        self.committed[delivery.topic.name, delivery.partition] = delivery.offset + 1
        return writes

    def tick(self, partition: int) -> StagedWrites:
        """Tick one partition and commit the writes."""
        writes = self.stage_writes(partition)
        self.stage.advance(partition, writes)
        self.make_durable(writes)
        return writes

    def stage_writes(self, partition: int, headers: Headers = ()) -> StagedWrites:
        """Empty writes, for one delivery or one tick."""
        return StagedWrites(self._codec, self._topic_prefix, partition, headers)

    def make_durable(self, writes: StagedWrites) -> None:
        """Commit state, then output, then the writes that must come after it."""
        self._write(writes.puts)
        self.output.extend(writes.messages)
        self._write(writes.puts_after_emit)

    # -- Commit

    def alive(self) -> None:
        """Always, because nobody else can own the partitions."""

    async def __call__(self, writes: StagedWrites) -> None:
        """Durable at once."""
        self.make_durable(writes)

    # -- state

    def _write(self, puts: Iterable[Put]) -> None:
        self.changelog.extend(put.store.write(put) for put in puts)

    def recover(self, changelog: Iterable[Message]) -> None:
        """Forget what the tables hold and read them again from `changelog`."""
        stores = {table.store.changelog_topic: table.store for table in self.stage.tables}
        for store in stores.values():
            store.clear()
        self.changelog = list(changelog)
        for message in self.changelog:
            stores[message.topic].recover(message.partition, message.key, message.value, _present(message.headers))
        for store in stores.values():
            for partition in self._partitions:
                store.begin_term(partition, 1)
            store.end_recovery()
        for _ in self.stage.recovered():
            """Nothing else has to have its turn here."""


def _trace(delivery: Delivery[Any]) -> Headers:
    return (("traceparent", delivery.traceparent.encode()),)


def _present(headers: Headers) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value) for name, value in headers if value is not None)
