"""Finds the record at which the process exits repeatedly, with a note in the metadata of the offset commit.

Memory does not survive such an exit, and tables cannot be trusted to. A start from an offset with unread records behind
it is noted in the commit's metadata; an ordinary commit removes the note. After an unsuccessful start the process uses
isolation mode in that partition: one record at a time, each noted before it is processed. A record that was being
processed at three exits in a row is quarantined, and the records behind it continue. It is decoded once for its dead
letter, which names its case. That attempt is noted too, so that the next process does not decode if this one exits.

Exits that are not the record's fault (the broker or the registry is away, the clock was set back, partitions were lost,
the process was told to stop) remove the note. A process that cannot reach the broker cannot remove it, and neither can
one that ends by SIGKILL, so these exits count. SIGKILL has to count, because the kernel sends it for a record that
needs too much memory as well.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from concurrent.futures import TimeoutError as NoAnswer
from typing import NamedTuple

import faust
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.types import TP

from nightdesk.messaging.log_identity import TopicId, stamped, unknown
from nightdesk.streams.runtime.process.fail_stop import ExitCode, before_leaving

log = logging.getLogger(__name__)

# The second start from one offset uses isolation mode.
ISOLATE_FROM_START = 2
# A record is quarantined if the process exited this many times in a row while it was being processed.
QUARANTINE_AFTER = 3
# The number of records in isolation mode, each waited for. A fatal record further on is found too: the records before
# it are committed, so the next round begins nearer.
ISOLATED_RECORDS = 100
COMMIT_TIMEOUT_S = 10.0
FINAL_COMMIT_TIMEOUT_S = 2.0
# Exits that a record can cause: it blocks the loop, it never ends, its dead letter cannot be created.
CAUSED_BY_RECORD = frozenset({ExitCode.FROZEN, ExitCode.NO_PROGRESS, ExitCode.DEAD_LETTER_FAILED})


class Note(NamedTuple):
    """The metadata of a committed offset: consecutive starts from it without progress, and how often the process exited
    while the record there was being processed.
    """

    starts: int = 0
    tries: int = 0

    @property
    def is_isolated(self) -> bool:
        """Whether the next process handles one record at a time."""
        return self.starts >= ISOLATE_FROM_START or self.tries > 0

    @property
    def must_quarantine(self) -> bool:
        """Whether the record at the offset is quarantined."""
        return self.tries >= QUARANTINE_AFTER

    @property
    def may_decode(self) -> bool:
        """Whether the record may be decoded for its dead letter, which is tried once and counts as one more try."""
        return self.tries <= QUARANTINE_AFTER


def encode(note: Note) -> str:
    """The note as the metadata of a commit."""
    return json.dumps({"starts": note.starts, "tries": note.tries}) if note != Note() else ""


def decode(metadata: str) -> Note:
    """The note in a commit's metadata. Another tool may have committed, with any metadata."""
    try:
        found = json.loads(metadata)
        starts, tries = found["starts"], found["tries"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return Note()
    is_note = all(type(number) is int and 0 <= number < 1_000_000 for number in (starts, tries))
    return Note(starts, tries) if is_note else Note()


class Isolation(NamedTuple):
    """Isolation mode in one partition: the note at `offset`, and for how many more records it lasts."""

    offset: int
    note: Note
    left: int


class Quarantine:
    """The partitions of one process in isolation mode."""

    def __init__(self, app: faust.App, topic_id: TopicId = unknown) -> None:
        self._app = app
        self._topic_id = topic_id
        self._isolated: dict[TP, Isolation] = {}
        self._in_hand: dict[TP, int] = {}
        before_leaving(self._leave)

    def __contains__(self, tp: object) -> bool:
        return tp in self._isolated

    async def start(self, tp: TP, offset: int, metadata: str, end: int) -> None:
        """The partition starts at `offset`, with the note there; its log ends at `end`."""
        if offset >= end:
            return  # there is no work, so no progress means nothing
        before = decode(metadata)
        note = before._replace(starts=before.starts + 1)
        if note.is_isolated:
            log.warning(
                "%s/%s: %s starts from offset %s made no progress: one record at a time now", *tp, before.starts, offset
            )
            self._isolated[tp] = Isolation(offset, note, ISOLATED_RECORDS)
        await self._commit(tp, offset, note)

    def must_quarantine(self, tp: TP, offset: int) -> bool:
        """Whether the record has ended the process too often."""
        isolation = self._isolated[tp]
        return isolation.offset == offset and isolation.note.must_quarantine

    def may_decode(self, tp: TP, offset: int) -> bool:
        """Whether the record may be decoded, once this attempt is noted."""
        isolation = self._isolated[tp]
        return isolation.offset != offset or isolation.note.may_decode

    async def take_in_hand(self, tp: TP, offset: int) -> bool:
        """Note that the record is about to be processed, with all before it done. Whether the
        broker acknowledged that.
        """
        isolation = self._isolated[tp]
        note = isolation.note if isolation.offset == offset else Note()
        note = note._replace(tries=note.tries + 1)
        if isolation.left <= 1:
            log.info("%s/%s: %s records were done one at a time, continuing as usual", *tp, ISOLATED_RECORDS)
            del self._isolated[tp]
        else:
            self._isolated[tp] = Isolation(offset, note, isolation.left - 1)
        self._in_hand[tp] = offset
        return await self._commit(tp, offset, note)

    def done(self, tp: TP, offset: int) -> None:
        """The records before `offset` are committed."""
        if self._in_hand.get(tp, offset) < offset:
            del self._in_hand[tp]

    def on_revoked(self) -> None:
        """The partitions are not ours any more, which the current record did not cause."""
        self._isolated.clear()
        self._in_hand.clear()

    async def _commit(self, tp: TP, offset: int, note: Note) -> bool:
        thread = self._app.consumer._thread  # type: ignore[attr-defined]  # Faust's own commit has no metadata
        request = self._request({tp: offset}, note)
        try:
            await asyncio.wait_for(thread.call_thread(thread._consumer.commit, request), COMMIT_TIMEOUT_S)
        except (KafkaError, TimeoutError) as error:
            log.warning("%s/%s: the record in hand could not be noted: %r", *tp, error)
            return False
        return True

    def _request(self, offsets: Mapping[TP, int], note: Note) -> dict[TopicPartition, OffsetAndMetadata]:
        return {
            TopicPartition(*tp): OffsetAndMetadata(offset, stamped(encode(note), self._topic_id(tp.topic)))
            for tp, offset in offsets.items()
        }

    def _leave(self, code: ExitCode) -> None:
        """Remove the note when the process exits for a reason that is not the record's fault."""
        if code in CAUSED_BY_RECORD or not self._in_hand:
            return
        thread = self._app.consumer._thread  # type: ignore[attr-defined]  # Faust's own commit has no metadata
        request = self._request(dict(self._in_hand), Note())
        try:
            asyncio.run_coroutine_threadsafe(thread._consumer.commit(request), thread.thread_loop).result(
                FINAL_COMMIT_TIMEOUT_S
            )
        except (KafkaError, NoAnswer, RuntimeError) as error:
            log.warning("the note of the record in hand could not be removed: %r", error)
