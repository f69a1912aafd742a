"""Records in the audit that a worker cannot read a promoted charter, once for each charter and process.

The order to promote it is already on `control`, so no record of the stage's own topics causes this one, and no offset
waits for it. A record that could not be delivered is sent again with the next report.
"""

from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from nightdesk.schemas import audit_records
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.topics import AUDIT
from nightdesk.streams.api import Clock
from nightdesk.streams.identity import Identity
from nightdesk.streams.known_charters import KnownCharters


class CharterAudit:
    """What one process has recorded."""

    def __init__(self, me: Identity, charters: KnownCharters, codec: Codec, topic_prefix: str, clock: Clock) -> None:
        self._me = me
        self._charters = charters
        self._codec = codec
        self._topic = topic_prefix + AUDIT.name
        self._clock = clock
        self._recorded: set[tuple[str, str]] = set()

    def record(self, producer: Producer) -> None:
        """Send what is not recorded yet."""
        for charter in self._charters.unreadable():
            name = (charter.agent, charter.version)
            if not charter.promoted or name in self._recorded:
                continue
            record = audit_records.unreadable(charter, self._me.key, self._me.token, self._clock())
            self._recorded.add(name)
            try:
                producer.produce(
                    self._topic,
                    self._codec.encode(record),
                    charter.agent.encode(),
                    partition=AUDIT.partition,
                    on_delivery=partial(self._delivered, name),
                )
            except (BufferError, KafkaException):
                self._recorded.discard(name)

    def _delivered(self, name: tuple[str, str], error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._recorded.discard(name)
