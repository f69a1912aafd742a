"""Typed tables: a stage reads and writes models, and this module encodes and expires them.

A value is stored as JSON. It is decoded only when it is read, so that recovery stays cheap.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Generic, TypeVar

import orjson
from pydantic import BaseModel, BeforeValidator

from nightdesk.streams.api.entries import Total
from nightdesk.streams.api.staged_writes import StagedWrites
from nightdesk.streams.api.state_store import StateStore

V = TypeVar("V", bound=BaseModel)
# Handles an expired entry: called with its key, its value and the staged writes. It must delete the entry or write it
# again, now or through a record that it emits, because no entry is passed twice.
OnExpired = Callable[[str, V, StagedWrites], None]
# What an entry adds to the totals of its table.
TableAdds = Callable[[bytes, V], Iterable[Total]]
# A field of a table's model that has bytes, which JSON does not have.
Base64Bytes = Annotated[bytes, BeforeValidator(lambda value: b64decode(value) if isinstance(value, str) else value)]


class Table(Generic[V]):
    """`key -> V` for each partition that this process owns. Reads see writes that were submitted, but not writes that
    are only staged.
    """

    def __init__(
        self, name: str, model: type[V], on_expired: OnExpired[V] | None = None, adds: TableAdds[V] | None = None
    ) -> None:
        """`name` is part of the changelog topic's name: renaming it loses the state. Without `on_expired` an expired
        entry is deleted. What `adds` returns for each entry is summed where the entries rest on disk; change
        `PROGRAM_FORMAT` (`streams/runtime/state/local_state.py`) with it.
        """
        self.name = name
        self.store = StateStore(name, None if adds is None else lambda key, value: adds(key, self._decode(value)))
        self._model = model
        self._on_expired = on_expired

    def get(self, partition: int, key: str) -> V | None:
        """The value, or None. Raises pydantic's `ValidationError` for one that is no `V`."""
        value = self.store.get(partition, key)
        return None if value is None else self._decode(value)

    def put(self, writes: StagedWrites, key: str, value: V, expires_at: float = 0.0) -> None:
        """Stage `value` under `key`; `expires_at` is epoch seconds, 0 for never. Raises `RecordTooLarge`."""
        writes.put(self.store, key, encode(value), expires_at)

    def put_after_emit(self, writes: StagedWrites, key: str, value: V, expires_at: float = 0.0) -> None:
        """Like `put`, but written only after every record in `writes` is durable. For ticks, because no record would be
        redelivered to cause the write again.
        """
        writes.put_after_emit(self.store, key, encode(value), expires_at)

    def delete(self, writes: StagedWrites, key: str) -> None:
        """Stage the deletion of `key`."""
        writes.delete(self.store, key)

    def delete_after_emit(self, writes: StagedWrites, key: str) -> None:
        """Like `delete`, but written only after every record in `writes` is durable. For ticks, like
        `put_after_emit`.
        """
        writes.delete_after_emit(self.store, key)

    def contains(self, partition: int, key: str) -> bool:
        """Whether there is an entry. Does not decode it."""
        return self.store.get(partition, key) is not None

    def expire(self, partition: int, writes: StagedWrites, now: float) -> None:
        """Pass the entries that have expired at `now` (epoch seconds) to `on_expired`, or delete them. Called before
        each tick.
        """
        for key in map(bytes.decode, self.store.expired(partition, now)):
            value = None if self._on_expired is None else self.get(partition, key)
            if self._on_expired is None or value is None:
                self.delete(writes, key)
            else:
                self._on_expired(key, value, writes)

    def items(self, partition: int) -> Iterator[tuple[str, V]]:
        """All entries of a partition."""
        for key, value in self.store.items(partition):
            yield key.decode(), self._decode(value)

    def count(self, partition: int) -> int:
        """How many entries a partition has."""
        return self.store.count(partition)

    def partitions(self) -> list[int]:
        """Partitions with any entry."""
        return self.store.partitions()

    def slices(self, only: int | None = None) -> Iterator[list[tuple[int, str, V]]]:
        """All entries, or those of one partition, as (partition, key, value), some hundred at a time: for
        `Stage.recovered`.
        """
        for entries in self.store.slices(only):
            yield [(partition, key.decode(), self._decode(value)) for partition, key, value in entries]

    def _decode(self, value: bytes) -> V:
        return self._model.model_validate_json(value)


def encode(value: BaseModel) -> bytes:
    """JSON, in a third of the time that pydantic takes to write it: every event has three of them."""
    return orjson.dumps(value.__dict__, default=_encode_field)


def _encode_field(field: Any) -> Any:
    """Encodes types that orjson does not know: bytes (`Base64Bytes`), named tuples, models."""
    if isinstance(field, bytes):
        return b64encode(field).decode()
    return list(field) if isinstance(field, tuple) else field.__dict__
