"""Queues of records that wait behind a dead letter, stored as facts of one table. `parking.py` says what they are for.

A queue belongs to one subject (and agent) in one partition. It has, in the order of the log, the letters that block it
and the complete records behind them. The table has these facts:

    queue NAME          its entries: [[place, letter or null], ...]
    letter ID           the queue and the place of a letter, and the token that releases the queue
    record NAME PLACE   a waiting record as it came
    seed                what the tokens of this partition are made from, once there was a letter

`place` is the offset of the record, so that a redelivered record has the same place. A replay takes its letter's.
"""

import hmac
from base64 import b64decode, b64encode
from secrets import token_hex
from typing import Any, NamedTuple

import orjson
from faust.types import TP

from nightdesk.streams.api.staged_writes import StagedWrites
from nightdesk.streams.api.state_store import StateStore
from nightdesk.streams.runtime.handling.delivery import RawEvent

SEED_KEY = "seed"
SEED_BYTES = 32
TOKEN_BYTES = 16
# Further records of a longer queue become dead letters themselves: nothing is lost, and the table stays small.
WAITING_AT_MOST = 1000


class QueueFull(RuntimeError):
    """Too many records are parked behind one dead letter."""


class BlockedKey(NamedTuple):
    """A place in a queue."""

    partition: int
    queue: str
    place: int


class Waiter(NamedTuple):
    """An entry of a queue: a letter, or a parked record."""

    place: int
    letter_id: str | None


class Queues:
    """The queues of our partitions."""

    def __init__(self, store: StateStore) -> None:
        self._store = store

    def is_empty(self, partition: int) -> bool:
        """Whether there is no queue, as nearly always."""
        count = self._store.count(partition)
        return count == 0 or (count == 1 and self._store.get(partition, SEED_KEY) is not None)

    def line(self, partition: int, queue: str) -> list[Waiter]:
        """The entries of a queue, in order."""
        value = self._store.get(partition, _queue_key(queue))
        return [] if value is None else [Waiter(*standing) for standing in orjson.loads(value)]

    def turn_of(self, partition: int, letter_id: str) -> BlockedKey | None:
        """The place at which a letter blocks a queue."""
        value = self._store.get(partition, _letter_key(letter_id))
        return None if value is None else BlockedKey(partition, *orjson.loads(value)[:2])

    def token_of(self, partition: int, letter_id: str) -> bytes:
        """The token that a resolution or a replay of the letter has to have; empty if there is no such letter, or if an
        older version wrote it.
        """
        value = self._store.get(partition, _letter_key(letter_id))
        return b"" if value is None else "".join(orjson.loads(value)[2:]).encode()

    def new_token(self, writes: StagedWrites, letter_id: str) -> bytes:
        """The token of a letter. Others cannot guess it, and it is the same if the letter is created again. Its seed is
        durable before the letter is emitted.
        """
        seed = self._store.get(writes.partition, SEED_KEY)
        if seed is None:
            seed = token_hex(SEED_BYTES).encode()
            writes.put(self._store, SEED_KEY, seed)
        return hmac.digest(seed, letter_id.encode(), "sha256").hex()[: 2 * TOKEN_BYTES].encode()

    def wait(self, writes: StagedWrites, turn: BlockedKey, event: RawEvent) -> None:
        """Park a record at its own place, or at that of the letter that it replays. Raises `QueueFull`."""
        line = self.line(turn.partition, turn.queue)
        if sum(standing.place < turn.place for standing in line) >= WAITING_AT_MOST:
            raise QueueFull(f"{len(line)} records are parked already behind dead letter {line[0].letter_id}")
        self._stand(writes, turn, None, line)
        writes.put(self._store, _record_key(turn), _stored(event))

    def block(self, writes: StagedWrites, turn: BlockedKey, letter_id: str, expires_at: float, token: bytes) -> None:
        """Let a letter block the queue. After `expires_at` the letter itself is deleted, and so is the block."""
        self._stand(writes, turn, letter_id, self.line(turn.partition, turn.queue))
        writes.delete(self._store, _record_key(turn))
        writes.put(
            self._store, _letter_key(letter_id), orjson.dumps([turn.queue, turn.place, token.decode()]), expires_at
        )

    def leave(self, writes: StagedWrites, turn: BlockedKey) -> None:
        """Remove the entry at a place."""
        line = self.line(turn.partition, turn.queue)
        left = [standing for standing in line if standing.place != turn.place]
        self._write(writes, turn.queue, left)
        for standing in line:
            if standing.place == turn.place and standing.letter_id is not None:
                writes.delete(self._store, _letter_key(standing.letter_id))
        writes.delete(self._store, _record_key(turn))

    def next(self, partition: int, queue: str) -> tuple[BlockedKey, RawEvent] | None:
        """The first entry of a queue, if it is a record: then nothing blocks it any more."""
        line = self.line(partition, queue)
        if not line or line[0].letter_id is not None:
            return None
        turn = BlockedKey(partition, queue, line[0].place)
        stored = self._store.get(partition, _record_key(turn))
        assert stored is not None, "a parked record is stored with its place"
        return turn, _restored(turn, stored)

    def free(self, partition: int) -> list[str]:
        """Queues that no letter blocks, because a process died while it released them."""
        names = [key.decode().removeprefix(_queue_key("")) for key, _ in self._store.items(partition) if _is_queue(key)]
        return [name for name in names if self.next(partition, name) is not None]

    def expired(self, partition: int, now: float) -> list[BlockedKey]:
        """The places of letters that nobody resolved before their topic deleted them."""
        keys = [key.decode().removeprefix(_letter_key("")) for key in self._store.expired(partition, now)]
        return [turn for letter_id in keys if (turn := self.turn_of(partition, letter_id)) is not None]

    def _stand(self, writes: StagedWrites, turn: BlockedKey, letter_id: str | None, line: list[Waiter]) -> None:
        for standing in line:
            if standing.place == turn.place and standing.letter_id and standing.letter_id != letter_id:
                writes.delete(self._store, _letter_key(standing.letter_id))
        others = [standing for standing in line if standing.place != turn.place]
        self._write(writes, turn.queue, sorted([*others, Waiter(turn.place, letter_id)]))

    def _write(self, writes: StagedWrites, queue: str, line: list[Waiter]) -> None:
        if line:
            writes.put(self._store, _queue_key(queue), orjson.dumps([tuple(standing) for standing in line]))
        else:
            writes.delete(self._store, _queue_key(queue))


def _queue_key(queue: str) -> str:
    return f"queue\x00{queue}"


def _letter_key(letter_id: str) -> str:
    return f"letter\x00{letter_id}"


def _record_key(turn: BlockedKey) -> str:
    return f"record\x00{turn.queue}\x00{turn.place:020d}"


def _is_queue(key: bytes) -> bool:
    return key.startswith(_queue_key("").encode())


def _stored(event: RawEvent) -> bytes:
    """A line of JSON about the record, then its unchanged value."""
    about = {
        "topic": event.topic,
        "timestamp": event.timestamp,
        "is_broker_time": event.is_broker_time,
        "key": _text(event.key),
        "headers": [[name, _text(value)] for name, value in event.headers],
        "value": event.value is not None,
    }
    return orjson.dumps(about) + b"\n" + (event.value or b"")


def _restored(turn: BlockedKey, stored: bytes) -> RawEvent:
    line, _, value = stored.partition(b"\n")
    about = orjson.loads(line)
    return RawEvent(
        TP(about["topic"], turn.partition),
        turn.place,
        about["timestamp"],
        key=_bytes(about["key"]),
        value=value if about["value"] else None,
        headers=tuple((name, _bytes(text)) for name, text in about["headers"]),
        is_broker_time=about.get("is_broker_time", False),
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()


def _bytes(text: Any) -> Any:
    return None if text is None else b64decode(text)
