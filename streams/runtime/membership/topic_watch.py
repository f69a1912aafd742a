"""Ends a process if one of its topics was replaced or changed.

Clients silently continue if a topic was deleted and recreated (at offsets that mean other records), or if partitions
were added (which are not read, and keys move). Kafka gives each topic an id for its lifetime. That id and the number of
partitions are requested every two seconds, on a separate connection and thread, so that it works while a recovery
stands still. A new partition leader changes neither.
"""

import logging
import threading
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from nightdesk.messaging.clients import ClientConfig, new_admin
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop

log = logging.getLogger(__name__)

LOOK_S = 2.0
ANSWER_TIMEOUT_S = 10.0
# A broker that has just started may not know every topic yet.
LOOKS_UNTIL_GONE = 3


class TopicIdentity(NamedTuple):
    """What identifies a topic: the id that Kafka gave it, and its number of partitions."""

    topic_id: str
    partitions: int


class TopicChanges:
    """Compares each response with the first one. Pure; `see` returns the change as text, or nothing."""

    def __init__(self) -> None:
        self._first: dict[str, TopicIdentity] = {}
        self._missing: dict[str, int] = {}

    @property
    def identities(self) -> Mapping[str, TopicIdentity]:
        """The identity of each topic when it was first seen."""
        return self._first

    def see(self, topic: str, now: TopicIdentity | None) -> str | None:
        """`now` is None if the broker knows no such topic."""
        before = self._first.get(topic)
        if now is None:
            self._missing[topic] = self._missing.get(topic, 0) + 1
            is_gone = before is not None and self._missing[topic] >= LOOKS_UNTIL_GONE
            return "was deleted: create it again with `nightdesk topics apply`" if is_gone else None
        self._missing.pop(topic, None)
        if before is None:
            self._first[topic] = now
            return None
        if before.topic_id != now.topic_id:
            return "was deleted and recreated: its unread records are gone"
        if before.partitions != now.partitions:
            return (
                f"has {now.partitions} partitions instead of {before.partitions}: give every topic of the installation"
                "  that number, and set NIGHTDESK_KAFKA__PARTITIONS (docs/how-to/deploy.md, More partitions)"
            )
        return None


class TopicWatch:
    """Watches topics for the life of the process."""

    def __init__(self, client_config: ClientConfig, topics: Iterable[str]) -> None:
        self._topics = sorted(topics)
        self._admin = new_admin(client_config)
        self._changes = TopicChanges()

    def start(self) -> None:
        """Look once, and then repeatedly on a separate thread."""
        self._look()
        threading.Thread(target=self._watch, name="topic-watch", daemon=True).start()

    def topic_id(self, topic: str) -> str:
        """The id of a topic; empty if it is not known yet."""
        identity = self._changes.identities.get(topic)
        return "" if identity is None else identity.topic_id

    def asked_topic_id(self, topic: str) -> str:
        """The id of a topic. If it is not known yet, the broker is asked now; empty if it does not answer."""
        if not self.topic_id(topic):
            self._look()
        return self.topic_id(topic)

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(LOOK_S):
            self._look()

    def _look(self) -> None:
        for topic, now in self._identities().items():
            changed = self._changes.see(topic, now)
            if changed is not None:
                fail_stop(
                    ExitCode.TOPIC_CHANGED,
                    f"{topic} {changed}. Restart the worker: it reads a new topic from its beginning",
                )

    def _identities(self) -> dict[str, TopicIdentity | None]:
        """The identities that the broker returned, without topics that could not be queried."""
        told: dict[str, TopicIdentity | None] = {}
        try:
            asked = self._admin.describe_topics(TopicCollection(self._topics), request_timeout=ANSWER_TIMEOUT_S)
        except KafkaException as error:
            log.debug("topics cannot be described: %s", error)
            return told
        for topic, future in asked.items():
            try:
                found = future.result()
                told[topic] = TopicIdentity(str(found.topic_id), len(found.partitions))
            except KafkaException as error:
                if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    told[topic] = None
        return told
