"""The effects of handling a record, before they are committed: table entries to store and records to emit.

Handlers fill a `StagedWrites`, and the committer commits it. Read, decide, write: a handler that fails half-way leaves
nothing behind.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from nightdesk.messaging.producer import Headers, Message
from nightdesk.schemas.bounds import RECORD_BYTES_AT_MOST
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.dead_letters import Original
from nightdesk.schemas.records import AuditRecord, Record
from nightdesk.schemas.topics import AUDIT, Topic
from nightdesk.streams.api.state_store import Put, StateStore

# Stages writes after everything before it is durable; returns the queue whose next record may run, if there is one.
AfterCommit = Callable[["StagedWrites"], str | None]


class RecordTooLarge(ValueError):
    """A record does not fit its topic."""


class Oversized(NamedTuple):
    """A record that its dead letter does not contain completely."""

    letter_id: str
    original: Original


@dataclass(slots=True)
class StagedWrites:
    """Entries and records caused by one delivery, or by one tick of a partition."""

    codec: Codec
    topic_prefix: str
    partition: int
    headers: Headers = ()
    puts: list[Put] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    puts_after_emit: list[Put] = field(default_factory=list)
    oversized: list[Oversized] = field(default_factory=list)
    after_commit: AfterCommit | None = None
    # The audit records among `messages`, for metrics and the log when they are durable.
    audited: list[AuditRecord] = field(default_factory=list)

    @property
    def traceparent(self) -> str:
        """The trace of the delivery."""
        return (self.headers[0][1] or b"").decode()

    def continue_trace(self, traceparent: str | None) -> None:
        """Emit further records with this trace, because a tick has none of its own."""
        self.headers = () if traceparent is None else (("traceparent", traceparent.encode()),)

    def put(self, store: StateStore, key: str, value: bytes, expires_at: float = 0.0) -> None:
        """Stage `value` under `key`; `expires_at` is epoch seconds, 0 for never. An empty value is an error. Stages
        write models through `Table.put`.
        """
        self.puts.append(self._put(store, key, value, expires_at))

    def put_after_emit(self, store: StateStore, key: str, value: bytes, expires_at: float = 0.0) -> None:
        """Like `put`, but written only after every record here is durable."""
        self.puts_after_emit.append(self._put(store, key, value, expires_at))

    def _put(self, store: StateStore, key: str, value: bytes, expires_at: float) -> Put:
        if not value:
            raise ValueError("a table's value is never empty: Faust's recovery would drop it")
        _check_size(store.name, value)
        return Put(store, self.partition, key.encode(), value, expires_at)

    def empty(self) -> "StagedWrites":
        """New staged writes of the same delivery, for a step that must be durable before the end."""
        return StagedWrites(self.codec, self.topic_prefix, self.partition, self.headers)

    def delete(self, store: StateStore, key: str) -> None:
        """Stage the deletion of `key`."""
        self.puts.append(Put(store, self.partition, key.encode(), None, 0.0))

    def delete_after_emit(self, store: StateStore, key: str) -> None:
        """Like `delete`, but written only after every record here is durable."""
        self.puts_after_emit.append(Put(store, self.partition, key.encode(), None, 0.0))

    def emit(self, topic: Topic, record: Record) -> None:
        """Emit `record` on `topic`, with the key of the topic table."""
        self.send(topic, str(getattr(record, topic.key)), self.codec.encode(record))

    def audit(self, record: AuditRecord) -> None:
        """Emit an audit record."""
        self.emit(AUDIT, record)
        self.audited.append(record)

    def send(self, topic: Topic, key: str, value: bytes) -> None:
        """Emit bytes that are already encoded (of a timer)."""
        _check_size(topic.name, value)
        name = self.topic_prefix + topic.name
        self.messages.append(Message(name, key.encode(), value, self.headers, topic.partition))

    def send_to_dlq(self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Stage a dead letter of `topic`, with `headers` in addition to those of the delivery."""
        name = self.topic_prefix + topic.dlq
        self.messages.append(Message(name, key, value, (*self.headers, *headers)))


def _check_size(where: str, value: bytes) -> None:
    if len(value) > RECORD_BYTES_AT_MOST:
        raise RecordTooLarge(f"{len(value)} bytes for {where}: {RECORD_BYTES_AT_MOST} are the limit of a record")
