"""Reads the orders on `control` for the life of the process, and confirms repeatedly that all are read.

One thread reads. The other asks the broker about once a second for the end of the topic, on its own connection. When
the first has read up to there, every order that was given before the request was sent is applied, and `Confirmation` is
updated.
"""

import logging
import sys
import threading
from collections.abc import Callable, Mapping

from confluent_kafka import OFFSET_BEGINNING, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # its types forget what it exports

from nightdesk.messaging.clients import ClientConfig, new_admin, new_reader
from nightdesk.messaging.consumed import is_unreadable, skip_unreadable
from nightdesk.messaging.log_offsets import ask_bounds, ask_offsets
from nightdesk.messaging.transactions import open_transaction
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.topics import CONTROL
from nightdesk.streams.control import Control
from nightdesk.streams.control_records import apply_record
from nightdesk.streams.runtime.membership.topic_watch import TopicWatch
from nightdesk.streams.runtime.process.boottime import boottime_s
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop

log = logging.getLogger(__name__)

START_TIMEOUT_S = 30.0
# How often the broker is asked, and how often the reading is checked meanwhile.
ASK_EVERY_S = 1.0
LOOK_EVERY_S = 0.05
ANSWER_WITHIN_S = 5.0

NAME = "nightdesk-control"
OWN_SETTINGS: ClientConfig = {
    "client.id": NAME,
    # An error, instead of continuing silently where the log begins now.
    "auto.offset.reset": "error",
    # It reads for as long as the process lives, and an order that comes ends the wait.
    "fetch.wait.max.ms": 500,
}


class OrdersLost(Exception):
    """The topic was recreated, or unread records were deleted: their orders are lost."""


class ControlSubscriber:
    """Reads `control` continuously; a process that can no longer read it exits."""

    def __init__(
        self, client_config: ClientConfig, topic_prefix: str, codec: Codec, control: Control, installation: str = ""
    ) -> None:
        """`installation` is ours, if a process that runs in it may only go on while the topics belong to it."""
        self._topic = topic_prefix + CONTROL.name
        self._codec = codec
        self._installation = installation
        self._control = control
        self._assigned = threading.Event()
        self._caught_up = threading.Event()
        self._failed: str | None = None
        # The offset up to which each partition is read and applied.
        self._read_up_to: dict[int, int] = {}
        self._consumer = new_reader(client_config, NAME, OWN_SETTINGS)
        self._client_config = client_config
        self._admin = new_admin(self._client_config)
        self._topic_watch = TopicWatch(client_config, [self._topic])

    def start(self) -> None:
        """Start reading; returns when every order so far is known. Raises TimeoutError if the
        broker does not answer.
        """
        self._topic_watch.start()
        for work in (self._read, self._confirm):
            threading.Thread(target=self._repeatedly, args=(work,), name=f"control{work.__name__}", daemon=True).start()
        if not self._caught_up.wait(START_TIMEOUT_S):
            why = self._failed or self._held_back() or "the broker does not answer"
            raise TimeoutError(f"{self._topic} could not be read within {START_TIMEOUT_S:.0f} s: {why}")

    def _held_back(self) -> str:
        """The open transaction behind which nothing can be read, as text; empty without one."""
        try:
            bounds = ask_bounds(self._admin, [(self._topic, number) for number in self._read_up_to])
        except KafkaException as error:
            return str(error)
        found = (open_transaction(self._client_config, place, of_place) for place, of_place in bounds.items())
        return "; ".join(str(transaction) for transaction in found if transaction is not None)

    def _repeatedly(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OrdersLost as lost:
            fail_stop(
                ExitCode.TOPIC_CHANGED,
                f"{self._topic} changed while it was read: {lost}. Start again: it is read from its beginning",
            )
        finally:  # it never returns, and a worker that cannot receive an order to stop must not act
            fail_stop(ExitCode.UNAVAILABLE, f"{self._topic} can no longer be followed: {sys.exception()!r}")

    # -- reading

    def _read(self) -> None:
        partitions = self._partitions()
        self._consumer.assign([TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in partitions])
        self._read_up_to = dict.fromkeys(partitions, 0)
        self._assigned.set()
        while True:
            message = self._consumer.poll(1.0)
            if message is None:
                continue
            error, partition, offset = message.error(), message.partition() or 0, message.offset() or 0
            if error is None:
                apply_record(self._control, self._codec, message.value(), offset)
                self._end_if_claimed()
                self._read_up_to[partition] = offset + 1
                if partition == CONTROL.partition:
                    self._control.read_up_to = offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                # Behind the last record there may be transaction markers, which consumers never return.
                self._read_up_to[partition] = offset
            elif is_unreadable(message):
                log.error("offset %d of %s cannot be read and is skipped", offset, self._topic)
                skip_unreadable(self._consumer, message)
                self._read_up_to[partition] = offset + 1
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise OrdersLost(error.str())
            else:
                self._failed = error.str()
                log.warning("control topic: %s", error.str())

    def _end_if_claimed(self) -> None:
        owner = self._control.installation
        if self._installation and owner and owner != self._installation:
            fail_stop(
                ExitCode.NOT_OUR_TOPICS,
                f"{self._topic} says that the topics belong to the installation {owner}, and this is"
                f" {self._installation}: give one of them another NIGHTDESK_KAFKA__TOPIC_PREFIX",
            )

    def _partitions(self) -> list[int]:
        while True:
            try:
                metadata = self._consumer.list_topics(self._topic, timeout=5.0).topics[self._topic]
                if metadata.error is None and metadata.partitions:
                    return list(metadata.partitions)
                self._failed = f"{self._topic} does not exist: run `nightdesk topics apply`"
            except KafkaException as error:
                self._failed = str(error)
            threading.Event().wait(0.5)

    # -- confirming

    def _confirm(self) -> None:
        self._assigned.wait()
        pause = threading.Event()
        while True:
            asked_at_s, read_before = boottime_s(), dict(self._read_up_to)
            ends = self._ends(read_before)
            while True:
                if ends and all(self._read_up_to[number] >= end for number, end in ends.items()):
                    self._control.confirmation.confirm(asked_at_s)
                    self._caught_up.set()
                    ends = {}
                left_s = asked_at_s + ASK_EVERY_S - boottime_s()
                if left_s <= 0:
                    break
                pause.wait(min(left_s, LOOK_EVERY_S) if ends else left_s)

    def _ends(self, read_before: Mapping[int, int]) -> dict[int, int]:
        """The current end of each partition; empty if the broker does not say. Raises `OrdersLost`.

        Records of open transactions count (`READ_UNCOMMITTED`): an order may be behind one, and cannot be read yet.
        """
        places = [(self._topic, number) for number in read_before]
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        try:
            told = ask_offsets(self._admin, places, latest, IsolationLevel.READ_UNCOMMITTED, ANSWER_WITHIN_S)
        except KafkaException as error:
            self._failed = str(error)
            log.warning("the end of %s is not known: %r", self._topic, error)
            # A client can continue with the leader epoch from before the broker's restart, and is refused forever.
            self._admin = new_admin(self._client_config)
            return {}
        ends = {number: end for (_, number), end in told.items()}
        for number, end in ends.items():
            if end < read_before[number]:
                raise OrdersLost(f"partition {number} ends at {end}, and {read_before[number]} was read")
        return ends
