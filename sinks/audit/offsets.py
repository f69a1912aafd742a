"""Keeps the sink's offset in each partition: the sink begins after what its group has committed, and commits what is
stored.

An offset counts in one log. If the audit topic was deleted and created again, offsets that were committed for the old
one do not count, and the new one is read from its beginning.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from nightdesk.messaging.log_identity import Log
from nightdesk.sinks.audit.chain import Chains
from nightdesk.sinks.audit.committed import is_of_log, metadata_of, read_committed
from nightdesk.sinks.audit.lag import Lag

log = logging.getLogger(__name__)

ANSWER_WITHIN_S = 10.0


class Offsets:
    """The offsets of this sink's partitions."""

    def __init__(self, consumer: Consumer, chains: Chains, lag: Lag) -> None:
        self._consumer = consumer
        self._chains = chains
        self._lag = lag
        self._log = Log("", "")
        # By partition: the end of its log, if we reached it; and the offset that we committed.
        self._ends: dict[int, int] = {}
        self._committed: dict[int, int] = {}

    def assigned(self, partitions: Sequence[TopicPartition], of_log: Log) -> list[TopicPartition]:
        """Begin after the offsets that the group has committed in this log, and return these."""
        self._log = of_log
        self._lag.assigned()
        self._ends.clear()
        self._committed.clear()
        committed = self._read(partitions)
        of_others = [place for place in committed if not is_of_log(place, of_log.topic_id)]
        if of_others:
            self._begin_anew(partitions, of_others)
        committed = [place for place in committed if place not in of_others]
        self._chains.resume(committed)
        return committed

    def reached_end(self, partition: int, offset: int) -> None:
        """Note that the log ends there."""
        self._ends[partition] = offset

    def rewound(self) -> None:
        """Forget the ends that were reached, because records will come again."""
        self._ends.clear()

    def commit_ends(self) -> None:
        """Commit the ends of the logs when everything that was read is written, because the offsets between the last
        record and the end (transaction markers, aborted records) are no lag.
        """
        beyond = {number: end for number, end in self._ends.items() if end > self._committed.get(number, 0)}
        self._ends.clear()
        self.commit(beyond)

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit these offsets, because everything before them is stored."""
        if not offsets:
            return
        topic, topic_id = self._log
        places = [
            TopicPartition(topic, number, offset, metadata_of(self._chains.value(number), topic_id))
            for number, offset in offsets.items()
        ]
        try:
            self._consumer.commit(offsets=places, asynchronous=False)
            self._committed |= offsets
            self._lag.committed(offsets)
        except KafkaException as error:
            # The rows are stored: if they are read again, they are found by offset and id.
            log.warning("offsets not committed", extra={"reason": str(error)})

    def _read(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        try:
            found = read_committed(self._consumer, partitions, ANSWER_WITHIN_S)
        except KafkaException as error:
            log.warning("the group's committed offset is not known", extra={"reason": str(error)})
            return []
        return [place for place in found if place.offset >= 0]

    def _begin_anew(self, partitions: Sequence[TopicPartition], of_others: Sequence[TopicPartition]) -> None:
        log.error(
            "the audit topic was deleted and created again: records of the old one that were not written are lost, and"
            " the new one is read from its beginning",
            extra={"topic": self._log.topic, "offsets": {place.partition: place.offset for place in of_others}},
        )
        anew = {place.partition for place in of_others}
        self._consumer.assign(
            [
                TopicPartition(one.topic, one.partition, OFFSET_BEGINNING) if one.partition in anew else one
                for one in partitions
            ]
        )
