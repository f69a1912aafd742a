"""Sends many messages; one future reports that the broker has acknowledged all of them.

librdkafka's idempotent producer keeps the order of each partition and duplicates nothing on retry. Faust's own producer
is not used, because it took most of the time of a hop, and its flush gives up without an error.
"""

import asyncio
import threading
from collections.abc import Iterable
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Message as Report

from nightdesk.messaging.clients import ClientConfig, new_producer

# A hop waits for the delivery, and a burst of records must not fill the queue.
OWN_SETTINGS: ClientConfig = {"linger.ms": 0.05, "queue.buffering.max.messages": 1_000_000}

Headers = tuple[tuple[str, bytes | None], ...]


class Message(NamedTuple):
    """A message for a topic. With `partition` -1 the key decides (murmur2, like Java clients)."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int = -1


class Span(NamedTuple):
    """Where the messages of one partition lie in its log: the first, the last, and how many they are."""

    first: int
    last: int
    messages: int

    @property
    def is_whole(self) -> bool:
        """Whether no other record lies between them."""
        return self.last - self.first + 1 == self.messages


# Filled with the spans of messages, by topic and partition.
Spans = dict[tuple[str, int], Span]


class NotDelivered(Exception):
    """The broker did not accept a message within the delivery timeout; the message names the topic and the reason."""


class _Batch:
    """Counts delivery reports. They arrive on the poll thread; the future is resolved on the loop."""

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop, spans: Spans | None) -> None:
        self._spans = spans
        self.future: asyncio.Future[None] = loop.create_future()
        self._missing = size
        self._loop = loop

    def on_delivery(self, error: KafkaError | None, report: Report) -> None:
        self._missing -= 1
        if error is None and self._spans is not None:
            self._note(self._spans, report)
        if error is not None:
            self._resolve(NotDelivered(f"{report.topic()}: {error.str()}"))
        elif self._missing == 0:
            self._resolve(None)

    def _note(self, spans: Spans, report: Report) -> None:
        offset = report.offset()
        assert offset is not None, "what was delivered has an offset"
        place = (str(report.topic()), int(report.partition() or 0))
        known = spans.get(place, Span(offset, offset, 0))
        spans[place] = Span(min(known.first, offset), max(known.last, offset), known.messages + 1)

    def _resolve(self, error: NotDelivered | None) -> None:
        self._loop.call_soon_threadsafe(self._settle, error)

    def _settle(self, error: NotDelivered | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(error)


class Producer:
    """One idempotent producer for a process. `delivery_timeout_s` is below the session timeout: messages in the queue
    of a frozen process must be too old to send when it wakes.
    """

    def __init__(self, client_config: ClientConfig, delivery_timeout_s: float) -> None:
        self._producer = new_producer(client_config, delivery_timeout_s, OWN_SETTINGS)
        self._stopped = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="producer-poll", daemon=True)
        self._poller.start()

    def send(self, messages: Iterable[Message], spans: Spans | None = None) -> asyncio.Future[None]:
        """Queue the messages in order; the future ends when the broker has acknowledged all, or with `NotDelivered`.
        `spans` has then where they are.
        """
        loop = asyncio.get_running_loop()
        outgoing = list(messages)
        batch = _Batch(len(outgoing), loop, spans)
        if not outgoing:
            batch.future.set_result(None)
        for message in outgoing:
            self._produce(message, batch)
        return batch.future

    def _produce(self, message: Message, batch: _Batch) -> None:
        try:
            self._producer.produce(
                message.topic,
                value=message.value,
                key=message.key,
                partition=message.partition,
                headers=list(message.headers) or None,
                on_delivery=batch.on_delivery,
            )
        except (BufferError, KafkaException) as error:
            raise NotDelivered(f"{message.topic}: {error}") from error

    def _poll(self) -> None:
        while not self._stopped.is_set():
            self._producer.poll(1.0)  # a report ends the wait

    def close(self) -> None:
        """Stop polling. Messages that were not delivered were never reported as delivered."""
        self._stopped.set()
        self._poller.join(timeout=2)
