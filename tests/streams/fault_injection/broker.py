"""Reads topics, offsets and records from outside, with clients that do not use the safety layer."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined]  # its types forget what it exports

from nightdesk.messaging.naming import group_id
from nightdesk.messaging.transient_errors import ask_until_answered
from nightdesk.schemas.dead_letters import CONTEXT_HEADER
from nightdesk.schemas.records import DeadLetter, Event
from nightdesk.schemas.topics import AUDIT, INGEST
from tests.streams.fault_injection.conversation import AsyncHandler, local_codec

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
        return group_id(self.topic_prefix, AsyncHandler.name)

    @property
    def changelog(self) -> str:
        return f"{self.group}-{AsyncHandler.table_names[0]}-changelog"

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
        """Produce events, and wait until the broker has acknowledged them."""
        producer = Producer({**self.config, "partitioner": "murmur2_random", "acks": "all"})
        codec = local_codec()
        for event in events:
            producer.produce(self.events, codec.encode(event), event.subject.encode(), partition)
        assert producer.flush(ANSWER_TIMEOUT_S) == 0, "the broker did not take the events"

    def committed(self) -> dict[int, int]:
        """The group's offset of each partition of events; 0 if nothing was committed."""
        asked = [TopicPartition(self.events, number) for number in range(self.partitions)]
        # Not by an admin client: librdkafka 2.16 crashes when that asks a coordinator that is not ready yet.
        consumer = Consumer({**self.config, "group.id": self.group})
        try:
            answer = ask_until_answered(lambda: consumer.committed(asked, ANSWER_TIMEOUT_S), ANSWER_TIMEOUT_S)
        finally:
            consumer.close()
        return {place.partition: max(place.offset, 0) for place in answer}

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

    def recreate(self, topic: str) -> None:
        """Delete a topic and create it again, as somebody does who wants it empty."""
        with AdminClient(self.config) as admin:
            admin.delete_topics([topic], operation_timeout=ANSWER_TIMEOUT_S)[topic].result()

            def made() -> bool:
                try:
                    admin.create_topics([NewTopic(topic, self.partitions, 1)])[topic].result()
                except KafkaException:  # it is still being deleted
                    return False
                return True

            assert wait_until(made, ANSWER_TIMEOUT_S)
            # A record that is sent before the topic has a leader would be refused.
            assert wait_until(lambda: topic in admin.list_topics(timeout=ANSWER_TIMEOUT_S).topics, ANSWER_TIMEOUT_S)

    def add_partition(self, topic: str) -> None:
        """Add one partition."""
        with AdminClient(self.config) as admin:
            admin.create_partitions([NewPartitions(topic, self.partitions + 1)])[topic].result()

    def delete_records(self, before: int) -> None:
        """Delete the records of the first partition of events before an offset."""
        with AdminClient(self.config) as admin:
            place = TopicPartition(self.events, 0, before)
            admin.delete_records([place])[place].result()

    def letters(self) -> list[DeadLetter]:
        """The dead letters of events."""
        codec = local_codec()
        carried = (dict(message.headers() or ()).get(CONTEXT_HEADER) for message in self.read(f"{self.events}.dlq"))
        return [codec.decode(DeadLetter, header) for header in carried if isinstance(header, bytes)]

    def members(self, *, stable: bool = False) -> int:
        """The number of members of the group; with `stable` 0 while partitions are still being assigned."""
        with AdminClient(self.config) as admin:
            group = admin.describe_consumer_groups([self.group])[self.group].result()
        return 0 if stable and group.state is not ConsumerGroupState.STABLE else len(group.members)


def wait_until(holds: Callable[[], bool], within_s: float, poll_s: float = 0.2) -> bool:
    """Whether the condition became true in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(poll_s)
    return True
