"""Decompresses the records of a batch into a buffer of bounded size. Pure.

aiokafka decompresses a batch to any size: 2.4 kB of zstd are 80 MB, and 292 kB made a worker of 1 GB. Here a batch that
is too large raises an error before it fills the memory.
"""

import struct
from collections.abc import Callable
from enum import IntEnum

import cramjam

# The most that one batch may have unpacked. Producers fill batches by their size in memory: Java's to 16 kB, librdkafka
# to 1 MB.
UNPACKED_BYTES_AT_MOST = 16 * 1024 * 1024
# First guess: producers compress text to about a fifth.
_USUAL_RATIO = 8
_SMALLEST_BUFFER = 64 * 1024
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16
_BLOCK_LENGTH = struct.Struct(">i")


class Compression(IntEnum):
    """The codec in a batch's attributes."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


class CannotUnpack(ValueError):
    """The bytes are not compressed like this, or are too large unpacked; the message says which."""


class _TooSmall(Exception):
    """The buffer is."""


def unpack(packed: bytes, compression: int, at_most: int = UNPACKED_BYTES_AT_MOST) -> bytes:
    """The decompressed bytes. Raises `CannotUnpack` if they are more than `at_most`, having written
    no more than that.
    """
    into = _UNPACKERS.get(compression)
    if into is None:
        raise CannotUnpack(f"its compression {compression} does not exist in Kafka")
    size = min(at_most, max(_SMALLEST_BUFFER, _USUAL_RATIO * len(packed)))
    while True:
        try:
            return _unpacked(into, packed, size)
        except _TooSmall:
            if size == at_most:
                raise CannotUnpack(
                    f"it is too large unpacked: {len(packed)} bytes unpack to more than {at_most}"
                ) from None
            size = min(at_most, 8 * size)


def _unpacked(into: Callable[[bytes, memoryview], int], packed: bytes, size: int) -> bytes:
    buffer = bytearray(size)
    try:
        return bytes(memoryview(buffer)[: into(packed, memoryview(buffer))])
    except cramjam.DecompressionError as error:
        if "whole buffer" in str(error) or "smaller than required" in str(error):
            raise _TooSmall from error
        raise CannotUnpack(f"it cannot be unpacked: {str(error)[:200]}") from error


def _gzip(packed: bytes, buffer: memoryview) -> int:
    return int(cramjam.gzip.decompress_into(packed, buffer))


def _lz4(packed: bytes, buffer: memoryview) -> int:
    return int(cramjam.lz4.decompress_into(packed, buffer))


def _zstd(packed: bytes, buffer: memoryview) -> int:
    return int(cramjam.zstd.decompress_into(packed, buffer))


def _snappy(packed: bytes, buffer: memoryview) -> int:
    """librdkafka writes one block; Java writes a header and blocks with their lengths."""
    if not packed.startswith(_XERIAL):
        return int(cramjam.snappy.decompress_raw_into(packed, buffer))
    at, size = _XERIAL_HEADER_BYTES, 0
    while at < len(packed):
        if at + _BLOCK_LENGTH.size > len(packed):
            raise CannotUnpack("it cannot be unpacked: a snappy block is cut")
        (length,) = _BLOCK_LENGTH.unpack_from(packed, at)
        at += _BLOCK_LENGTH.size
        if not 0 < length <= len(packed) - at:
            raise CannotUnpack(f"it cannot be unpacked: a snappy block of {length} bytes")
        size += int(cramjam.snappy.decompress_raw_into(packed[at : at + length], buffer[size:]))
        at += length
    return size


_UNPACKERS: dict[int, Callable[[bytes, memoryview], int]] = {
    Compression.GZIP: _gzip,
    Compression.SNAPPY: _snappy,
    Compression.LZ4: _lz4,
    Compression.ZSTD: _zstd,
}
