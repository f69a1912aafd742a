"""Queues of records that wait behind a dead letter, as facts of one table. What they are for is in `parking.py`.

A queue is one subject's (and agent's) line in one
partition, in the order of the log: letters that hold it up, and records behind them, whole. Everything is in the table:

    queue NAME          who stands in it: [[place, letter or null], ...]
    letter ID           in which queue a letter stands, and where
    record NAME PLACE   a waiting record as it came

`place` is the offset of the record, so that the same record again stands where it stood. A replay takes its letter's.
"""

from base64 import b64decode, b64encode
from typing import Any, NamedTuple

import orjson
from faust.types import TP

from streams.runtime.changes import Changes
from streams.runtime.delivery import RawEvent
from streams.runtime.tables import FactTable

# A queue that grows further becomes dead letters itself: nothing is lost, and the table stays small.
WAITING_AT_MOST = 1000


class QueueFull(RuntimeError):
    """Too many records wait behind one dead letter."""


class Turn(NamedTuple):
    """A place in a queue."""

    partition: int
    queue: str
    place: int


class Standing(NamedTuple):
    """Who stands at a place: a letter, or a record that waits."""

    place: int
    letter_id: str | None


class Queues:
    """The queues of the partitions that are ours."""

    def __init__(self, table: FactTable) -> None:
        self._table = table

    def is_empty(self, partition: int) -> bool:
        """Nobody waits for anything, as nearly always."""
        return not self._table.facts(partition)

    def line(self, partition: int, queue: str) -> list[Standing]:
        """Who stands in a queue, in order."""
        value = self._table.read(partition, _queue_key(queue))
        return [] if value is None else [Standing(*standing) for standing in orjson.loads(value)]

    def turn_of(self, partition: int, letter_id: str) -> Turn | None:
        """Where a letter holds up a queue."""
        value = self._table.read(partition, _letter_key(letter_id))
        return None if value is None else Turn(partition, *orjson.loads(value))

    def wait(self, changes: Changes, turn: Turn, event: RawEvent) -> None:
        """Let a record stand in line, at its place or in that of the letter that it was. Raises `QueueFull`."""
        line = self.line(turn.partition, turn.queue)
        if sum(standing.place < turn.place for standing in line) >= WAITING_AT_MOST:
            raise QueueFull(f"{len(line)} records wait already behind dead letter {line[0].letter_id}")
        self._stand(changes, turn, None, line)
        changes.put(self._table, _record_key(turn), _stored(event))

    def block(self, changes: Changes, turn: Turn, letter_id: str, expires_at: float) -> None:
        """Let a letter hold up the queue. After `expires_at` the letter itself is forgotten, and so is this."""
        self._stand(changes, turn, letter_id, self.line(turn.partition, turn.queue))
        changes.forget(self._table, _record_key(turn))
        changes.put(self._table, _letter_key(letter_id), orjson.dumps([turn.queue, turn.place]), expires_at)

    def leave(self, changes: Changes, turn: Turn) -> None:
        """Whoever stands there is done."""
        line = self.line(turn.partition, turn.queue)
        left = [standing for standing in line if standing.place != turn.place]
        self._write(changes, turn.queue, left)
        for standing in line:
            if standing.place == turn.place and standing.letter_id is not None:
                changes.forget(self._table, _letter_key(standing.letter_id))
        changes.forget(self._table, _record_key(turn))

    def next(self, partition: int, queue: str) -> tuple[Turn, RawEvent] | None:
        """The first of a queue, if it is a record: then nothing holds it up any more."""
        line = self.line(partition, queue)
        if not line or line[0].letter_id is not None:
            return None
        turn = Turn(partition, queue, line[0].place)
        stored = self._table.read(partition, _record_key(turn))
        assert stored is not None, "whoever waits was stored with its place in line"
        return turn, _restored(turn, stored)

    def free(self, partition: int) -> list[str]:
        """Queues that nothing holds up: a process died while they moved on."""
        names = [key.decode().removeprefix(_queue_key("")) for key in self._table.facts(partition) if _is_queue(key)]
        return [name for name in names if self.next(partition, name) is not None]

    def expired(self, partition: int, now: float) -> list[Turn]:
        """Where letters stand that nobody decided on while their topic kept them."""
        keys = [key.decode().removeprefix(_letter_key("")) for key in self._table.expired(partition, now)]
        return [turn for letter_id in keys if (turn := self.turn_of(partition, letter_id)) is not None]

    def _stand(self, changes: Changes, turn: Turn, letter_id: str | None, line: list[Standing]) -> None:
        for standing in line:
            if standing.place == turn.place and standing.letter_id and standing.letter_id != letter_id:
                changes.forget(self._table, _letter_key(standing.letter_id))
        others = [standing for standing in line if standing.place != turn.place]
        self._write(changes, turn.queue, sorted([*others, Standing(turn.place, letter_id)]))

    def _write(self, changes: Changes, queue: str, line: list[Standing]) -> None:
        if line:
            changes.put(self._table, _queue_key(queue), orjson.dumps([tuple(standing) for standing in line]))
        else:
            changes.forget(self._table, _queue_key(queue))


def _queue_key(queue: str) -> str:
    return f"queue\x00{queue}"


def _letter_key(letter_id: str) -> str:
    return f"letter\x00{letter_id}"


def _record_key(turn: Turn) -> str:
    return f"record\x00{turn.queue}\x00{turn.place:020d}"


def _is_queue(key: bytes) -> bool:
    return key.startswith(_queue_key("").encode())


def _stored(event: RawEvent) -> bytes:
    """A line of JSON about the record, then its value as it came."""
    about = {
        "topic": event.topic,
        "timestamp": event.timestamp,
        "key": _text(event.key),
        "headers": [[name, _text(value)] for name, value in event.headers],
        "value": event.value is not None,
    }
    return orjson.dumps(about) + b"\n" + (event.value or b"")


def _restored(turn: Turn, stored: bytes) -> RawEvent:
    line, _, value = stored.partition(b"\n")
    about = orjson.loads(line)
    return RawEvent(
        TP(about["topic"], turn.partition),
        turn.place,
        about["timestamp"],
        key=_bytes(about["key"]),
        value=value if about["value"] else None,
        headers=tuple((name, _bytes(text)) for name, text in about["headers"]),
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()


def _bytes(text: Any) -> Any:
    return None if text is None else b64decode(text)
