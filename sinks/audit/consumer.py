"""The sink's consumer, and the classification of the messages that it returns."""

from __future__ import annotations

import logging

from confluent_kafka import Consumer, KafkaError, Message

from nightdesk.messaging.clients import ClientConfig, new_group_member
from nightdesk.sinks.audit.policy import SinkSettings

log = logging.getLogger(__name__)

# After either of them the consumer returns nothing more. An error with the code `_FATAL` does not report itself as
# fatal.
DEAD = frozenset({KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL})


class Fenced(Exception):
    """Another process has this instance's place in the group, or had it while the broker did not answer. A new process
    may join.
    """


def consumer_of(settings: SinkSettings) -> Consumer:
    """A member of the sink's group."""
    own: ClientConfig = {
        # A batch waits anyway, and many small responses cost the broker and us more.
        "fetch.min.bytes": 65_536,
        "queued.max.messages.kbytes": 65_536,
    }
    return new_group_member(settings.kafka, settings.group_id, settings.instance_id, settings.session_timeout_s, own)


def is_end(message: Message) -> bool:
    """Whether the end of a partition's log was reached."""
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def is_record(message: Message) -> bool:
    """Whether the message is a record. Raises `Fenced` for an error that ends the consumer; logs every other error."""
    error = message.error()
    if error is None:
        return True
    if is_end(message):
        return False
    if error.fatal() or error.code() in DEAD:
        raise Fenced(error.str())
    log.warning("kafka", extra={"reason": error.str()})
    return False
