"""The bytes of record batches in the log: one batch with its parsed header, and the batches of one response."""

import struct

from aiokafka.record.default_records import DefaultRecordBatch

from nightdesk.messaging.unpacking import unpack

# BaseOffset, Length, PartitionLeaderEpoch, Magic, CRC, Attributes, LastOffsetDelta, FirstTimestamp, MaxTimestamp,
# ProducerId, ProducerEpoch, BaseSequence, number of records
HEADER = struct.Struct(">qiibIhiqqqhii")
FRAME = struct.Struct(">qi")
MAGIC_AT = 16
_ATTRIBUTES_AT = 21
SMALLEST_OLD_BATCH = 26
_COMPRESSION = 0x07
_LOG_APPEND_TIME = 0x08
# `timestamp_type` of a record that has the time at which the broker stored it, and not one of its producer.
BROKER_TIME = 1


class RecordBatch:
    """One batch of magic 2 in the log, with its parsed header."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        head = HEADER.unpack_from(data)
        self.base_offset: int = head[0]
        self.attributes: int = head[5]
        self.last_offset_delta: int = head[6]
        self.first_timestamp: int = head[7]
        self.max_timestamp: int = head[8]
        self.count: int = head[12]
        # aiokafka's own, for what it does well: the checksum, transactions, and reading well-formed records.
        self.plain = DefaultRecordBatch(data)

    @property
    def compression(self) -> int:
        return self.attributes & _COMPRESSION

    @property
    def next_offset(self) -> int:
        return self.base_offset + self.last_offset_delta + 1

    def unpacked(self) -> "RecordBatch":
        """The same batch without compression. Raises `CannotUnpack`."""
        if not self.compression:
            return self
        records = unpack(self.data[HEADER.size :], self.compression)
        head = bytearray(self.data[: HEADER.size])
        struct.pack_into(">h", head, _ATTRIBUTES_AT, self.attributes & ~_COMPRESSION)
        return RecordBatch(bytes(head) + records)

    @property
    def timestamp_type(self) -> int:
        """As aiokafka names them: `BROKER_TIME` if the broker stamped the records, else 0."""
        return BROKER_TIME if self.attributes & _LOG_APPEND_TIME else 0

    def timestamp(self, delta: int) -> int:
        return self.max_timestamp if self.timestamp_type == BROKER_TIME else self.first_timestamp + delta


class FetchedBytes:
    """The batches of one response, in aiokafka's interface: `has_next`, `next_batch`, `size_in_bytes`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def size_in_bytes(self) -> int:
        return len(self._data)

    def has_next(self) -> bool:
        """Whether a complete batch is left; a response may end in the middle of one."""
        return self._end() is not None

    def next_batch(self) -> bytes:
        """The bytes of the next batch."""
        start, end = self._at, self._end()
        if end is None:
            raise LookupError("no whole batch is left")
        self._at = end
        return self._data[start:end]

    def _end(self) -> int | None:
        if len(self._data) - self._at < FRAME.size:
            return None
        length: int = FRAME.unpack_from(self._data, self._at)[1]
        end = self._at + FRAME.size + length
        return end if length > 0 and end <= len(self._data) else None
