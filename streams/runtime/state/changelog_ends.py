"""Asks the broker what a changelog is now: its cluster, its topic's id, and where each partition ends."""

from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as NoAnswer

from confluent_kafka import IsolationLevel, KafkaException, TopicCollection
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # its types forget what it exports

from nightdesk.messaging.clients import ClientConfig, new_admin
from nightdesk.messaging.log_offsets import ANSWER_TIMEOUT_S, ask_offsets
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop
from nightdesk.streams.runtime.state.local_state import PROGRAM_FORMAT, ChangelogEnd
from nightdesk.streams.runtime.state.stored_form import Identity


class BrokerChangelogs:
    """The changelogs on the broker."""

    def __init__(self, client_config: ClientConfig) -> None:
        self._admin = new_admin(client_config)

    def look(self, topic: str, partitions: Sequence[int]) -> Mapping[int, ChangelogEnd]:
        """What the partitions of a changelog are now. Ends the process if the broker does not answer."""
        if not partitions:
            return {}
        try:
            latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            places = [(topic, partition) for partition in partitions]
            ends = ask_offsets(self._admin, places, latest, IsolationLevel.READ_UNCOMMITTED)
            identity = Identity(
                cluster_id=self._cluster_id(), topic_id=self._topic_id(topic), program_format=PROGRAM_FORMAT
            )
        except (KafkaException, NoAnswer) as error:
            fail_stop(ExitCode.UNAVAILABLE, f"the broker does not say what {topic} is: {error}")
        return {partition: ChangelogEnd(identity, ends[topic, partition]) for partition in partitions}

    def _cluster_id(self) -> str:
        cluster = self._admin.describe_cluster(request_timeout=ANSWER_TIMEOUT_S).result(ANSWER_TIMEOUT_S + 1)
        return str(cluster.cluster_id)

    def _topic_id(self, topic: str) -> str:
        asked = self._admin.describe_topics(TopicCollection([topic]), request_timeout=ANSWER_TIMEOUT_S)
        return str(asked[topic].result(ANSWER_TIMEOUT_S + 1).topic_id)
