"""Parses the bytes of a fetch to records, so that nothing in them ends the fetch or takes all memory.

aiokafka's fetcher creates one `PartitionRecords` for each response, which unpacks every batch whatever its size and
raises at the first error, before our guard sees it. `install` replaces its two classes with ours. They return the same
records; what cannot be read, or is too large unpacked, becomes one `Unreadable` for the offsets that it spans, and then
a dead letter. See docs/decisions/0018-bounds-of-a-record.md.
"""

import logging
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.structs import ConsumerRecord, TopicPartition

from nightdesk.messaging.batch_bytes import FRAME, HEADER, MAGIC_AT, SMALLEST_OLD_BATCH, FetchedBytes, RecordBatch
from nightdesk.messaging.record_parsing import Parsed, Unparsed, parse
from nightdesk.messaging.unpacking import CannotUnpack

log = logging.getLogger(__name__)

# After this many unpacked bytes the rest of a response is fetched again later: it may have a hundred batches that are
# small while packed.
UNPACKED_AT_ONCE = 4 * 1024 * 1024
# How often a batch with a wrong checksum is read: the network may have changed it, or else the disk has.
READS_OF_A_CORRUPT_BATCH = 3


@dataclass
class Unreadable(ConsumerRecord[bytes, bytes]):  # type: ignore[misc]  # aiokafka has no types
    """Represents records that cannot be read. `offset` is the last of them, because Faust continues from it."""

    first_offset: int
    reason: str


class _Span(NamedTuple):
    """Offsets, both included."""

    first: int
    last: int


class BoundedRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """The records of one partition in one response: each that can be read, and an `Unreadable` for the others."""

    next_fetch_offset: int
    # For each partition, the batch whose checksum was wrong, and how often. For the whole process, because every
    # response is a new object.
    suspects: dict[TopicPartition, tuple[int, int]] = {}  # noqa: RUF012 - shared on purpose

    def _unpack_records(self) -> Iterator[ConsumerRecord[bytes, bytes]]:
        unpacked_bytes = 0
        while self._records.has_next() and unpacked_bytes < UNPACKED_AT_ONCE:
            data = self._records.next_batch()
            if len(data) < SMALLEST_OLD_BATCH or data[MAGIC_AT] < 2 or len(data) < HEADER.size:
                yield from self._stand_in(_old_span(data), "its message format is obsolete")
                continue
            batch = RecordBatch(data)
            if batch.next_offset <= self.next_fetch_offset:
                continue
            if self._check_crcs and not batch.plain.validate_crc():
                if self._is_read_again(batch):
                    return
                yield from self._stand_in(_corrupt_span(batch), "its checksum is wrong: the log is damaged there")
                continue
            if not self._is_to_be_read(batch):
                self.next_fetch_offset = batch.next_offset
                continue
            try:
                unpacked = batch.unpacked()
            except CannotUnpack as error:
                yield from self._stand_in(_Span(batch.base_offset, batch.next_offset - 1), str(error))
                continue
            unpacked_bytes += len(unpacked.data)
            yield from self._read(unpacked)
            self.next_fetch_offset = max(self.next_fetch_offset, batch.next_offset)

    def _is_read_again(self, batch: RecordBatch) -> bool:
        """Whether the batch is fetched once more before it counts as damaged."""
        base_offset, reads = self.suspects.get(self._tp, (-1, 0))
        reads = reads + 1 if base_offset == batch.base_offset else 1
        self.suspects[self._tp] = (batch.base_offset, reads)
        log.warning("%s: the batch at %d has a wrong checksum, read %d times", self._tp, batch.base_offset, reads)
        return reads < READS_OF_A_CORRUPT_BATCH

    def _is_to_be_read(self, batch: RecordBatch) -> bool:
        """Neither a transaction marker nor an aborted record, by the same rules as aiokafka's own reader."""
        plain = batch.plain
        if self._isolation_level == fetcher.READ_COMMITTED and plain.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if plain.is_control_batch and self._ends_aborted(plain):
                self._aborted_producers.discard(plain.producer_id)
            if plain.is_transactional and plain.producer_id in self._aborted_producers:
                return False
        return not plain.is_control_batch

    def _ends_aborted(self, marker: DefaultRecordBatch) -> bool:
        """Whether an aborted transaction ends here. A marker that cannot be parsed ends it too: a producer's marker
        always ends its transaction, and only if that was aborted does it matter. It is skipped like any other marker.
        """
        try:
            return bool(self._contains_abort_marker(marker))
        except (*_READER_FAILS, TypeError) as error:
            log.warning("%s: the transaction marker at %d cannot be parsed: %r", self._tp, marker.base_offset, error)
            return True

    def _read(self, batch: RecordBatch) -> Iterator[ConsumerRecord[bytes, bytes]]:
        """Read with aiokafka's reader, and if that fails, with ours from where it failed."""
        try:
            for record in batch.plain:
                if record.offset >= batch.next_offset:
                    raise ValueError(f"offset {record.offset} in a batch that ends before {batch.next_offset}")
                if record.offset >= self.next_fetch_offset:
                    self.next_fetch_offset = record.offset + 1
                    yield self._consumer_record(self._tp, record)
        except _READER_FAILS as error:
            # No higher level, because a producer may write such a name into each of its records.
            log.debug("%s: the batch at %d is read record by record: %r", self._tp, batch.base_offset, error)
        else:
            return
        for parsed in parse(batch.data[HEADER.size :], batch.count, batch.last_offset_delta):
            yield from self._one_by_one(batch, parsed)

    def _one_by_one(self, batch: RecordBatch, parsed: Parsed | Unparsed) -> Iterator[ConsumerRecord[bytes, bytes]]:
        offset = batch.base_offset + parsed.offset_delta
        if isinstance(parsed, Unparsed):
            last = batch.next_offset - 1 if parsed.and_all_after else offset
            yield from self._stand_in(_Span(offset, last), parsed.reason)
        elif offset >= self.next_fetch_offset:
            self.next_fetch_offset = offset + 1
            yield _record(self._tp, offset, batch, parsed)

    def _stand_in(self, span: _Span, reason: str) -> Iterator[ConsumerRecord[bytes, bytes]]:
        first = max(span.first, self.next_fetch_offset)
        if span.last < first:
            return
        self.next_fetch_offset = span.last + 1
        log.error("%s: offsets %d to %d cannot be read: %s", self._tp, first, span.last, reason)
        place = (self._tp.topic, self._tp.partition, span.last)
        yield Unreadable(*place, 0, 0, None, None, None, -1, -1, (), first_offset=first, reason=reason)


# Errors of a malformed batch: Cython's reader raises these; CorruptRecordException is a KafkaError, and that is a
# RuntimeError.
_READER_FAILS = (RuntimeError, ValueError, IndexError, struct.error, OverflowError, MemoryError, AssertionError)


def install() -> None:
    """Make aiokafka's fetcher, which has no setting for it, use these classes. A second call changes nothing."""
    fetcher.MemoryRecords = FetchedBytes
    fetcher.PartitionRecords = BoundedRecords


def _record(tp: Any, offset: int, batch: RecordBatch, parsed: Parsed) -> ConsumerRecord[bytes, bytes]:
    times = (batch.timestamp(parsed.timestamp_delta), batch.timestamp_type)
    sizes = [-1 if part is None else len(part) for part in (parsed.key, parsed.value)]
    headers: Any = parsed.headers
    return ConsumerRecord(
        tp.topic, tp.partition, offset, *times, parsed.key, parsed.value, None, sizes[0], sizes[1], headers
    )


def _old_span(data: bytes) -> _Span:
    """In the old formats the header has the last offset of the batch."""
    last: int = FRAME.unpack_from(data)[0]
    return _Span(0, last)


def _corrupt_span(batch: RecordBatch) -> _Span:
    """The whole batch if its header is valid, otherwise its first record: the next fetch starts behind it."""
    believed = 0 <= batch.last_offset_delta == batch.count - 1 <= len(batch.data)
    return _Span(batch.base_offset, batch.base_offset + (batch.last_offset_delta if believed else 0))
