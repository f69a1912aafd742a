"""Reads messages of confluent-kafka's consumer so that nothing in a message or a batch stops the reader.

All our confluent-kafka consumers use it. librdkafka passes on header names of any bytes, and its Python client fails at
those that are not UTF-8; at a batch that it cannot unpack it reports the same error forever.
"""

from operator import methodcaller
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from nightdesk.schemas.dead_letters import Headers, Original

# Replaces headers that the client cannot return.
UNREADABLE_HEADERS: Headers = (("nightdesk.unreadable_headers", None),)
_UNREADABLE = (KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG)
# Called like this, the interpreter checks the result. Called as `message.headers()` in a hot loop it does not, and the
# error that the client left behind is raised by whatever is called next.
_HEADERS: Any = methodcaller("headers")


def headers_of(message: Message) -> Headers:
    """The headers as pairs of text and bytes; `UNREADABLE_HEADERS` if a name is not UTF-8."""
    try:
        found = _HEADERS(message)
    except (SystemError, UnicodeDecodeError):
        # A second call would return a list with missing elements, and the interpreter would end with a segmentation
        # fault.
        message.set_headers(list(UNREADABLE_HEADERS))
        return UNREADABLE_HEADERS
    return cast(Headers, tuple(found or ()))


def original_of(message: Message) -> Original:
    """The original message, from a consumer without a deserializer."""
    key = message.key()
    assert not isinstance(key, str), "a consumer without a deserializer returns bytes"
    return Original(key, message.value(), headers_of(message))


def is_unreadable(message: Message) -> bool:
    """Whether the error says that a batch cannot be unpacked or is malformed. It is reported again until the offset is
    skipped.
    """
    error = message.error()
    return error is not None and error.code() in _UNREADABLE


def skip_unreadable(consumer: Consumer, message: Message) -> None:
    """Continue behind the offset that cannot be read; the next one of its batch may be reported then. Raises
    `KafkaException` if the partition is no longer ours.
    """
    following = (message.offset() or 0) + 1
    consumer.seek(TopicPartition(str(message.topic()), message.partition() or 0, following))
