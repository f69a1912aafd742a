"""Handles an audit record that cannot be decoded: its bytes go to `<topic>.dlq`, and a row in the audit reports it.

The headers are those that the stages write (Kafka Connect's, and `nightdesk.dead_letter`), so that one tool reads and
replays the letters of both.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property

from confluent_kafka import Message as Consumed

from nightdesk.messaging.blocking_producer import BlockingProducer
from nightdesk.messaging.clients import ClientConfig
from nightdesk.messaging.consumed import original_of
from nightdesk.messaging.failures import Failure
from nightdesk.messaging.producer import Message
from nightdesk.schemas import audit_records, ids
from nightdesk.schemas.bounds import DEAD_LETTER_BYTES_AT_MOST, NAME_CHARACTERS_AT_MOST
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.dead_letters import (
    MESSAGE_CHARACTERS,
    Original,
    as_text,
    headers,
    lost,
    replay_of,
)
from nightdesk.schemas.program import program_version
from nightdesk.schemas.records import AuditRecord, DeadLetter
from nightdesk.schemas.topics import AUDIT
from nightdesk.schemas.truncation import fit

STAGE = "sink"


class DeadLetterNotDelivered(Exception):
    """The broker did not accept a dead letter: the process has to stop before the offset is committed."""


def describe(message: Consumed, original: Original, error: ValueError, now: datetime) -> DeadLetter:
    """The letter with the reason why the message could not be processed."""
    partition, offset = message.partition() or 0, message.offset() or 0
    replay = replay_of(original.headers)
    return DeadLetter(
        dead_letter_id=ids.next_dead_letter_id(replay.letter_id, message.value())
        if replay
        else ids.dead_letter_id(AUDIT.name, partition, offset, message.timestamp()[1]),
        stage=STAGE,
        topic=AUDIT.name,
        partition=partition,
        offset=offset,
        timestamp_ms=message.timestamp()[1],
        error=type(error).__name__,
        message=as_text(str(error), MESSAGE_CHARACTERS),
        traceback="",
        attempts=1 + (replay.attempts if replay else 0),
        subject=as_text(original.key or b"", NAME_CHARACTERS_AT_MOST),
        program_version=program_version(),
        time=now,
        attempted=f"read as {AuditRecord.__name__}",
        replay_of=replay.letter_id if replay else None,
        original_headers=len(original.headers),
    )


def unreadable(topic: str, partition: int, offset: int, reason: str, now: datetime) -> DeadLetter:
    """The letter for an offset at which nothing can be read."""
    return DeadLetter(
        dead_letter_id=ids.dead_letter_id(topic, partition, offset, 0),
        stage=STAGE,
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp_ms=0,
        error="Unreadable",
        message=as_text(reason, MESSAGE_CHARACTERS),
        traceback="",
        program_version=program_version(),
        time=now,
        attempted=f"read as {AuditRecord.__name__}",
        original_headers=0,
        truncated=True,
    )


class DeadLetters:
    """Sends messages to `<topic>.dlq` of one cluster."""

    def __init__(self, kafka: ClientConfig, codec: Codec) -> None:
        self._kafka = kafka
        self._codec = codec

    @cached_property
    def _producer(self) -> BlockingProducer:
        # Only when it is needed, which is hardly ever.
        return BlockingProducer(self._kafka)

    def park(self, message: Consumed, error: ValueError) -> AuditRecord:
        """Deliver the dead letter and return its audit record. Raises `DeadLetterNotDelivered`."""
        original = original_of(message)
        letter = describe(message, original, error, datetime.now(UTC))
        letter, carried = fit(letter, original, DEAD_LETTER_BYTES_AT_MOST)
        found = (*carried.headers, *headers(letter, self._codec))
        self._deliver(Message(f"{message.topic()}.dlq", carried.key, carried.value, found))
        return audit_records.dead_lettered(letter, None)

    def lost(self, topic: str, partition: int, offsets: tuple[int, int]) -> None:
        """Report lost records on `<topic>.dlq` and in the audit. Raises `DeadLetterNotDelivered`."""
        letter = lost(STAGE, AUDIT.name, partition, offsets, datetime.now(UTC))
        self._deliver(
            Message(f"{topic}.dlq", None, None, headers(letter, self._codec)),
            Message(topic, b"", self._codec.encode(audit_records.lost(letter)), ()),
        )

    def unreadable(self, topic: str, partition: int, offset: int, reason: str) -> None:
        """Report that nothing can be read at an offset, on `<topic>.dlq` and in the audit. Raises
        `DeadLetterNotDelivered`.
        """
        letter = unreadable(AUDIT.name, partition, offset, reason, datetime.now(UTC))
        self._deliver(
            Message(f"{topic}.dlq", None, None, headers(letter, self._codec)),
            Message(topic, b"", self._codec.encode(audit_records.dead_lettered(letter, None)), ()),
        )

    def _deliver(self, *messages: Message) -> None:
        try:
            self._producer.deliver(messages)
        except Failure as failure:
            raise DeadLetterNotDelivered(f"{messages[0].topic}: {failure.message}") from failure
