"""Batches that no client would send, written by hand: extremely compressed, malformed, with names of arbitrary bytes.

For tests of the reader, and for a real broker by `send`, which sends the bytes unchanged.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cramjam
from aiokafka.client import AIOKafkaClient
from aiokafka.codec import lz4_encode
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from nightdesk.messaging.unpacking import Compression

NOW_MS = 1_795_000_000_000
Header = tuple[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class Raw:
    """A record whose header names may be any bytes. `padding` follows it, within its length."""

    key: bytes | None = b"k"
    value: bytes | None = b"v"
    headers: tuple[Header, ...] = ()
    padding: bytes = b""

    def encoded(self, offset_delta: int) -> bytes:
        body = b"\x00" + varint(0) + varint(offset_delta) + _bytes(self.key) + _bytes(self.value)
        body += varint(len(self.headers)) + b"".join(_bytes(name) + _bytes(value) for name, value in self.headers)
        body += self.padding
        return varint(len(body)) + body


def varint(number: int) -> bytes:
    """Zigzag encoding, as in Kafka's records."""
    rest, found = ((number << 1) ^ (number >> 63)) & (1 << 64) - 1, bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*found, rest])


def _bytes(part: bytes | None) -> bytes:
    return varint(-1) if part is None else varint(len(part)) + part


PACKERS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.NONE: bytes,
    Compression.GZIP: lambda data: bytes(cramjam.gzip.compress(data)),
    Compression.SNAPPY: lambda data: bytes(cramjam.snappy.compress_raw(data)),
    Compression.LZ4: lz4_encode,  # the broker refuses blocks that are linked, as cramjam writes them
    Compression.ZSTD: lambda data: bytes(cramjam.zstd.compress(data)),
}


def batch(records: Sequence[Raw | bytes], compression: Compression = Compression.NONE, base_offset: int = 0) -> bytes:
    """A batch of magic 2. A record that is bytes is inserted unchanged."""
    written = (one if isinstance(one, bytes) else one.encoded(delta) for delta, one in enumerate(records))
    return framed(PACKERS[compression](b"".join(written)), len(records), compression, base_offset)


def framed(
    payload: bytes, count: int, attributes: int = Compression.NONE, base_offset: int = 0, producer_id: int = -1
) -> bytes:
    """The head of a batch around a payload, with the right checksum."""
    tail = struct.pack(">hiqqqhii", attributes, count - 1, NOW_MS, NOW_MS, producer_id, 0, -1, count) + payload
    return struct.pack(">qiibI", base_offset, len(tail) + 9, -1, 2, calc_crc32c(tail)) + tail


async def send(bootstrap_servers: str, topic: str, partition: int, batches: Sequence[bytes]) -> list[int]:
    """Produce batches unchanged, one after the other; returns the offset of each, or -1 if the broker refused it."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap_servers)
    await client.bootstrap()
    offsets = []
    try:
        await client.set_topics([topic])
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        for one in batches:
            request = ProduceRequest(
                transactional_id=None, required_acks=-1, timeout=30_000, topics=[(topic, [(partition, one)])]
            )
            response = await client.send(leader, request)
            [(_, [(_, error, offset, *_)])] = response.topics
            offsets.append(offset if error == 0 else -1)
    finally:
        await client.close()
    return offsets
