"""An audit record that cannot be read: its bytes go to `<topic>.dlq`, and a row in the audit says so.

Called by `sinks.audit.landing`. The same headers as the stages write (Kafka Connect's, and `nightdesk.dead_letter`), so
that one tool reads and sends again what either has parked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas import ids
from schemas.codec import Codec, Undecodable
from schemas.dead_letters import Headers, buried, headers, replay_of
from schemas.records import AuditRecord, DeadLetter
from schemas.topics import AUDIT

STAGE = "sink"
MESSAGE_CHARACTERS = 2000
DELIVERED_WITHIN_S = 30.0


class DeadLetterNotDelivered(Exception):
    """The broker did not take a dead letter: the process has to stop before the offset is committed."""


def describe(message: Message, error: Undecodable, now: datetime) -> DeadLetter:
    """Why the message could not be done."""
    partition, offset = message.partition() or 0, message.offset() or 0
    key, came_with = message.key(), _headers(message)
    replay = replay_of(came_with)
    return DeadLetter(
        dead_letter_id=ids.next_dead_letter_id(replay.letter_id)
        if replay
        else ids.dead_letter_id(AUDIT.name, partition, offset),
        stage=STAGE,
        topic=AUDIT.name,
        partition=partition,
        offset=offset,
        timestamp_ms=message.timestamp()[1],
        error=type(error).__name__,
        message=str(error)[:MESSAGE_CHARACTERS],
        traceback="",
        attempts=1 + (replay.attempts if replay else 0),
        subject=(key if isinstance(key, bytes) else str(key or "").encode()).decode(errors="replace"),
        program_version=version("nightdesk"),
        time=now,
        attempted=f"read as {AuditRecord.__name__}",
        replay_of=replay.letter_id if replay else None,
        original_headers=len(came_with),
    )


class DeadLetters:
    """Parks messages on `<topic>.dlq` of one cluster."""

    def __init__(self, kafka: Mapping[str, Any], codec: Codec) -> None:
        self._kafka = kafka
        self._codec = codec

    @cached_property
    def _producer(self) -> Producer:
        # Only when it is needed, which is hardly ever. Room for the headers around a record that was itself as large as
        # a broker takes.
        return Producer({**self._kafka, "enable.idempotence": True, "message.max.bytes": 8_000_000})

    def park(self, message: Message, error: Undecodable) -> AuditRecord:
        """Deliver the dead letter and give the audit's line about it. Raises `DeadLetterNotDelivered`."""
        letter = describe(message, error, datetime.now(UTC))
        failures: list[KafkaError] = []
        try:
            self._producer.produce(
                f"{message.topic()}.dlq",
                value=message.value(),
                key=message.key(),
                headers=[*_headers(message), *headers(letter, self._codec)],
                on_delivery=lambda failure, _: failures.append(failure) if failure else None,
            )
        except (BufferError, KafkaException) as failure:
            raise DeadLetterNotDelivered(f"{message.topic()}.dlq: {failure}") from failure
        left = self._producer.flush(DELIVERED_WITHIN_S)
        if failures or left:
            reason = failures[0].str() if failures else f"no answer within {DELIVERED_WITHIN_S:.0f} s"
            raise DeadLetterNotDelivered(f"{message.topic()}.dlq: {reason}")
        return buried(letter, None)


def _headers(message: Message) -> Headers:
    return cast(Headers, tuple(message.headers() or ()))  # a consumed message's are pairs of text and bytes
