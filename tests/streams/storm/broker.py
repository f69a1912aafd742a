"""What can be seen from outside: topics, offsets and records, by clients that the layer has no part in."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaError,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its types forget what it exports

from schemas.records import Event
from schemas.topics import AUDIT, INGEST
from streams.runtime.naming import group_id
from tests.streams.storm.conversation import Conversation, local_codec

ANSWER_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Broker:
    """The topics of one storm, under a prefix of their own."""

    bootstrap_servers: str
    topic_prefix: str
    partitions: int = 4

    @property
    def events(self) -> str:
        return self.topic_prefix + INGEST.name

    @property
    def said(self) -> str:
        return self.topic_prefix + AUDIT.name

    @property
    def group(self) -> str:
        return group_id(self.topic_prefix, Conversation.name)

    @property
    def changelog(self) -> str:
        return f"{self.group}-{Conversation.table_names[0]}-changelog"

    @property
    def config(self) -> dict[str, str | int | float | bool]:
        return {"bootstrap.servers": self.bootstrap_servers, "log_level": 0}

    def create_topics(self) -> None:
        compacted = {"cleanup.policy": "compact"}
        new = [NewTopic(name, self.partitions, 1) for name in (self.events, f"{self.events}.dlq", self.said)]
        new.append(NewTopic(self.changelog, self.partitions, 1, config=compacted))
        with AdminClient(self.config) as admin:
            for future in admin.create_topics(new).values():
                future.result()

    def produce(self, events: list[Event], partition: int = -1) -> None:
        """Put events on the topic, and wait until they are there."""
        producer = Producer({**self.config, "partitioner": "murmur2_random", "acks": "all"})
        codec = local_codec()
        for event in events:
            producer.produce(self.events, codec.encode(event), event.subject.encode(), partition)
        assert producer.flush(ANSWER_TIMEOUT_S) == 0, "the broker did not take the events"

    def committed(self) -> dict[int, int]:
        """The group's offset of each partition of events; 0 where nothing was committed."""
        asked = [TopicPartition(self.events, number) for number in range(self.partitions)]
        request = ConsumerGroupTopicPartitions(self.group, asked)
        with AdminClient(self.config) as admin:
            answer = admin.list_consumer_group_offsets([request])[self.group].result()
        return {place.partition: max(place.offset, 0) for place in answer.topic_partitions}

    def ends(self, topic: str) -> dict[int, int]:
        consumer = Consumer({**self.config, "group.id": "storm-ends"})
        try:
            places = [TopicPartition(topic, number) for number in range(self.partitions)]
            return {p.partition: consumer.get_watermark_offsets(p, timeout=ANSWER_TIMEOUT_S)[1] for p in places}
        finally:
            consumer.close()

    def read(self, topic: str) -> Iterator[Message]:
        """Every record that is on the topic now, partition by partition in order."""
        consumer = Consumer({**self.config, "group.id": "storm-reader", "enable.partition.eof": True})
        consumer.assign([TopicPartition(topic, number, 0) for number in range(self.partitions)])
        open_partitions = set(range(self.partitions))
        try:
            while open_partitions:
                message = consumer.poll(ANSWER_TIMEOUT_S)
                assert message is not None, f"{topic} could not be read"
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition())
        finally:
            consumer.close()

    def members(self, *, stable: bool = False) -> int:
        """How many members the group has; with `stable` 0 while partitions are still being given out."""
        with AdminClient(self.config) as admin:
            group = admin.describe_consumer_groups([self.group])[self.group].result()
        return 0 if stable and group.state is not ConsumerGroupState.STABLE else len(group.members)


def wait_until(holds: Callable[[], bool], within_s: float, poll_s: float = 0.2) -> bool:
    """Whether it came to hold in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(poll_s)
    return True
