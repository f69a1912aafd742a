"""Knows which subjects are forgotten, from the tombstones on the topic `forgotten`. The sink reads these before it
stores any record.

A record of a forgotten subject is left out if its case was opened before the subject was forgotten. So the audit topic
can be read again from its beginning, into an empty database as well, and nothing comes back. What happens to a subject
of the same name later is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from datetime import datetime

from confluent_kafka import KafkaException, Message, TopicPartition

from nightdesk.messaging.clients import new_reader
from nightdesk.messaging.log_end import end_of
from nightdesk.messaging.topic_reader import ANSWER_WITHIN_S, read_range
from nightdesk.schemas.codec import Codec, Undecodable
from nightdesk.schemas.records import AuditRecord, ForgottenSubject
from nightdesk.sinks.audit.policy import SinkSettings

log = logging.getLogger(__name__)

READER = "nightdesk-forgotten"
KEY_CHECK_DIGITS = 16
FORGET_KEY_REMEDY = "Set NIGHTDESK_CLICKHOUSE__FORGET_KEY to the key with which `nightdesk forget` was run"


class KeyNotFit(Exception):
    """A subject is forgotten, and the key of the settings is not the one that tells which subject."""


def digest_of(subject: str, key: str) -> str:
    """The subject's keyed digest: without the key, a list of possible subjects does not lead to it."""
    return hmac.new(key.encode(), subject.encode(), hashlib.sha256).hexdigest()


def key_check(key: str) -> str:
    """A value that is equal for equal keys, and from which nobody can find the key."""
    return digest_of("", key)[:KEY_CHECK_DIGITS]


class ForgottenSubjects:
    """The tombstones that were read so far."""

    def __init__(self, key: str = "") -> None:
        self._key = key
        self._until: dict[str, datetime] = {}

    def add(self, tombstone: ForgottenSubject) -> None:
        """Raises `KeyNotFit` if it was made with another key."""
        if not self._key or key_check(self._key) != tombstone.key_check:
            raise KeyNotFit("a subject was forgotten with another NIGHTDESK_CLICKHOUSE__FORGET_KEY than this one's")
        known = self._until.get(tombstone.digest, tombstone.time)
        self._until[tombstone.digest] = max(known, tombstone.time)

    def cover(self, record: AuditRecord) -> bool:
        """Whether the record is to be left out."""
        return self.digest_covering(record.subject, record.case_at or record.time) is not None

    def digest_covering(self, subject: str, opened_at: datetime) -> str | None:
        """The digest of a forgotten subject whose case was opened then, if it is to be left out."""
        if not self._until:
            return None
        digest = digest_of(subject, self._key)
        until = self._until.get(digest)
        return digest if until is not None and opened_at <= until else None


class ForgottenReader:
    """Follows the topic `forgotten`."""

    def __init__(self, settings: SinkSettings, codec: Codec) -> None:
        self._place, self._codec = (settings.forgotten_topic, 0), codec
        self._subjects = ForgottenSubjects(settings.forget_key)
        self._next = 0
        self._consumer = new_reader(settings.kafka, READER)

    def read(self) -> ForgottenSubjects:
        """Read up to the present end of the topic. Raises `ConnectionError` and `KeyNotFit`."""
        try:
            end = end_of(self._consumer, TopicPartition(*self._place), ANSWER_WITHIN_S)
            if end > self._next:
                ends = {self._place: end}
                for message in read_range(self._consumer, {self._place: self._next}, ends, ANSWER_WITHIN_S):
                    self._add(message)
                self._next = end
        except KafkaException as error:
            raise ConnectionError(f"{self._place[0]} cannot be read: {error}") from error
        return self._subjects

    def _add(self, message: Message) -> None:
        try:
            self._subjects.add(self._codec.decode(ForgottenSubject, message.value()))
        except Undecodable as error:
            log.error(
                "a record that is not a tombstone is skipped", extra={"offset": message.offset(), "reason": str(error)}
            )

    def close(self) -> None:
        self._consumer.close()
