"""What handling a record comes to: facts to remember and records to say. Nothing here has happened yet.

Handlers fill a `Changes`; the committer makes it true. Read, decide, write: a handler that fails half-way leaves
nothing.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from schemas.codec import Codec
from schemas.records import AuditRecord, Record
from schemas.topics import AUDIT, Topic
from streams.runtime.producer import Headers, Message

if TYPE_CHECKING:
    from streams.runtime.parking import Then
    from streams.runtime.tables import FactTable

# Under the 4 MB that `nightdesk topics apply` gives every topic, with room for headers and the envelope.
RECORD_BYTES_AT_MOST = 3_500_000


class RecordTooLarge(ValueError):
    """A record would not fit its topic."""


class Put(NamedTuple):
    """A fact to remember; `value` None forgets it."""

    table: "FactTable"
    partition: int
    key: bytes
    value: bytes | None
    expires_at: float


@dataclass(slots=True)
class Changes:
    """Facts and records caused by one delivery."""

    codec: Codec
    topic_prefix: str
    partition: int
    headers: Headers = ()
    puts: list[Put] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    puts_once_said: list[Put] = field(default_factory=list)
    then: "Then | None" = None

    def put(self, table: "FactTable", key: str, value: bytes, expires_at: float = 0.0) -> None:
        """Remember `value` under `key`; `expires_at` is epoch seconds, 0 for never. An empty value is an error."""
        if not value:
            raise ValueError("a fact is never empty: Faust's recovery would drop it")
        _check_size(table.name, value)
        self.puts.append(Put(table, self.partition, key.encode(), value, expires_at))

    def put_once_said(self, table: "FactTable", key: str, value: bytes, expires_at: float = 0.0) -> None:
        """The same, when every record here is durable and not before.

        For what time causes: no record comes again to say it, so a fact that it was said must not outlive the words.
        """
        following = self.empty()
        following.put(table, key, value, expires_at)
        self.puts_once_said.extend(following.puts)

    def empty(self) -> "Changes":
        """New changes of the same delivery, for a step that must be durable before the end."""
        return Changes(self.codec, self.topic_prefix, self.partition, self.headers)

    def forget(self, table: "FactTable", key: str) -> None:
        """Drop the fact under `key`."""
        self.puts.append(Put(table, self.partition, key.encode(), None, 0.0))

    def emit(self, topic: Topic, record: Record) -> None:
        """Say `record` on `topic`, keyed as the topic table says."""
        self.send(topic, str(getattr(record, topic.key)), self.codec.encode(record))

    def audit(self, record: AuditRecord) -> None:
        """Say what happened."""
        self.emit(AUDIT, record)

    def send(self, topic: Topic, key: str, value: bytes) -> None:
        """Say bytes that were encoded before (a reminder's)."""
        _check_size(topic.name, value)
        name = self.topic_prefix + topic.name
        self.messages.append(Message(name, key.encode(), value, self.headers, topic.partition))


def _check_size(where: str, value: bytes) -> None:
    if len(value) > RECORD_BYTES_AT_MOST:
        raise RecordTooLarge(f"{len(value)} bytes for {where}: {RECORD_BYTES_AT_MOST} are the most a record may have")
