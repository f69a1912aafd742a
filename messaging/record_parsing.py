"""Parses the records of an unpacked batch one by one, so that a malformed record does not affect the others. Pure.

It is used when aiokafka's fast C reader fails on a batch: that reader decodes header names as strict UTF-8, and any
error ends the fetch. The format is Kafka's, magic 2:
`clients/src/main/java/org/apache/kafka/common/record/DefaultRecord.java`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from nightdesk.schemas.dead_letters import Headers

VARINT_BYTES_AT_MOST = 10


class Malformed(ValueError):
    """The bytes are no record; the message says why."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """One record. Deltas are relative to the batch's first offset and timestamp."""

    offset_delta: int
    timestamp_delta: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A record that cannot be read, at `offset_delta`; with `and_all_after`, nor can any behind it in the batch."""

    offset_delta: int
    and_all_after: bool
    reason: str


def parse(data: bytes, count: int, last_offset_delta: int) -> Iterator[Parsed | Unparsed]:
    """The records in `data`, at most `count`.

    Behind a record with an invalid length, no record can be found.
    """
    at = following = 0
    for _ in range(min(count, last_offset_delta + 1)):
        try:
            record, at = _slice(data, at)
        except Malformed as error:
            yield Unparsed(following, True, f"a record of the batch cannot be read: {error}")
            return
        try:
            parsed: Parsed | Unparsed = _record(record, last_offset_delta)
        except Malformed as error:
            parsed = Unparsed(following, False, f"the record cannot be read: {error}")
        yield parsed
        following = parsed.offset_delta + 1


def _slice(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = _varint(data, at)
    if not 0 < length <= len(data) - at:
        raise Malformed(f"its length is {length}, and {len(data) - at} bytes are left")
    return data[at : at + length], at + length


def _record(data: bytes, last_offset_delta: int) -> Parsed:
    timestamp_delta, at = _varint(data, 1)  # after the attributes, which nobody uses
    offset_delta, at = _varint(data, at)
    key, at = _bytes(data, at)
    value, at = _bytes(data, at)
    headers, at = _headers(data, at)
    if at != len(data):
        raise Malformed(f"{len(data) - at} bytes follow after its headers")
    if not 0 <= offset_delta <= last_offset_delta:
        raise Malformed(f"its offset is {offset_delta} in the batch")
    return Parsed(offset_delta, timestamp_delta, key, value, headers)


def _headers(data: bytes, at: int) -> tuple[Headers, int]:
    count, at = _varint(data, at)
    if not 0 <= count <= len(data):
        raise Malformed(f"it has {count} headers")
    headers = []
    for _ in range(count):
        name, at = _bytes(data, at)
        value, at = _bytes(data, at)
        if name is None:
            raise Malformed("a header has no name")
        headers.append((name.decode(errors="backslashreplace"), value))
    return tuple(headers), at


def _bytes(data: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = _varint(data, at)
    if length < 0:
        return None, at
    if length > len(data) - at:
        raise Malformed(f"a part has {length} bytes, and {len(data) - at} are left")
    return data[at : at + length], at + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag number and the position after it."""
    number = 0
    for position, byte in enumerate(data[at : at + VARINT_BYTES_AT_MOST]):
        number |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at + position + 1
    raise Malformed("a number does not end")
