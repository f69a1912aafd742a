"""Whatever lies in a log is read to its end: records that can be read are given, and something for each that cannot."""

import random
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.messaging.batch_bytes import BROKER_TIME, HEADER, FetchedBytes, RecordBatch
from nightdesk.messaging.record_batches import READS_OF_A_CORRUPT_BATCH, UNPACKED_AT_ONCE, BoundedRecords
from nightdesk.messaging.unpacking import UNPACKED_BYTES_AT_MOST, CannotUnpack, Compression, unpack
from tests.hostile.batches import NOW_MS, PACKERS, Raw, batch, framed, varint

TP = TopicPartition("ingest", 0)
COMPRESSIONS = pytest.mark.parametrize("compression", list(Compression), ids=lambda one: one.name)


@pytest.fixture(autouse=True)
def _forget_suspects() -> None:
    BoundedRecords.suspects.clear()


def reader(data: bytes, start: int = 0, isolation: int = fetcher.READ_COMMITTED) -> BoundedRecords:
    return BoundedRecords(TP, FetchedBytes(data), [], start, None, None, True, isolation)


def read(data: bytes, start: int = 0) -> list[ConsumerRecord[bytes, bytes]]:
    """One fetch after the other, until nothing comes any more."""
    found: list[ConsumerRecord[bytes, bytes]] = []
    while True:
        records = reader(data, start)
        found += list(records)
        if records.next_fetch_offset == start:
            return found
        start = records.next_fetch_offset


def spans(records: Iterable[Any]) -> list[tuple[int, int, bool]]:
    """(first, last, readable) of each."""
    return [
        (getattr(record, "first_offset", record.offset), record.offset, type(record) is ConsumerRecord)
        for record in records
    ]


@COMPRESSIONS
def test_good_records_come_as_they_were_sent(compression: Compression) -> None:
    sent = [
        Raw(b"a", b"1", ((b"x", b"\xff"), (b"none", None), (b"", b""))),
        Raw(None, b"2"),
        Raw(b"c", None),
        Raw(b"d", bytes(100_000)),
    ]
    data = batch(sent, compression) + batch(sent[:1], base_offset=4)
    found = read(data)
    assert [record.offset for record in found] == [0, 1, 2, 3, 4]
    assert [(record.key, record.value) for record in found] == [(raw.key, raw.value) for raw in (*sent, sent[0])]
    assert found[0].headers == (("x", b"\xff"), ("none", None), ("", b""))
    assert {record.timestamp for record in found} == {NOW_MS}


def test_it_gives_what_aiokafkas_own_reader_gives() -> None:
    data = b"".join(batch([Raw(b"k", bytes([n]))] * 3, n, base_offset=3 * n) for n in Compression)
    theirs: Any = BoundedRecords.__base__
    assert list(theirs(TP, MemoryRecords(data), [], 2, None, None, True, fetcher.READ_COMMITTED)) == read(data, 2)


@COMPRESSIONS
def test_a_header_name_that_is_no_text_costs_nobody_anything(compression: Compression) -> None:
    data = batch([Raw(value=b"1"), Raw(value=b"2", headers=((b"\xff\xfe", b"v"),)), Raw(value=b"3")], compression)
    found = read(data)
    assert [(record.offset, record.value) for record in found] == [(0, b"1"), (1, b"2"), (2, b"3")]
    assert found[1].headers == (("\\xff\\xfe", b"v"),)
    assert found[1].timestamp == NOW_MS


def test_who_stamped_a_record_is_known_whoever_reads_it() -> None:
    for name, attributes in ((b"plain", 0x08), (b"\xff", 0x08), (b"plain", 0), (b"\xff", 0)):
        payload = Raw(value=b"1", headers=((name, b"v"),)).encoded(0)
        [record] = read(framed(payload, 1, attributes))
        assert record.timestamp_type == (BROKER_TIME if attributes else 0)


@pytest.mark.parametrize("compression", [one for one in Compression if one], ids=lambda one: one.name)
def test_what_is_too_large_unpacked_is_one_stand_in_and_the_next_go_on(compression: Compression) -> None:
    bomb = batch([Raw(value=bytes(UNPACKED_BYTES_AT_MOST + 1)), Raw()], compression)
    assert len(bomb) < 1_000_000
    found = read(bomb + batch([Raw()], base_offset=2))
    assert spans(found) == [(0, 1, False), (2, 2, True)]
    assert "too large unpacked" in found[0].reason


def test_the_bound_is_exact_and_holds_before_the_memory_is_taken() -> None:
    for compression, pack in PACKERS.items():
        if compression:
            assert unpack(pack(bytes(100_000)), compression, 100_000) == bytes(100_000)
            with pytest.raises(CannotUnpack, match="more than 100000"):
                unpack(pack(bytes(100_001)), compression, 100_000)


def test_many_batches_that_unpack_to_much_come_in_parts() -> None:
    data = b"".join(batch([Raw(value=bytes(2_000_000))], Compression.ZSTD, number) for number in range(10))
    first = list(reader(data))
    assert sum(len(record.value or b"") for record in first) < UNPACKED_AT_ONCE + 2_000_000
    assert [record.offset for record in read(data)] == list(range(10))


def test_unpacking_takes_away_the_compression_and_nothing_else() -> None:
    """A transactional batch with the log's own time stays one."""
    packed_bytes = bytearray(batch([Raw()] * 3, Compression.GZIP, base_offset=5))
    packed_bytes[22] |= 0x18
    packed = RecordBatch(bytes(packed_bytes))
    plain = packed.unpacked()
    assert (packed.attributes, plain.attributes) == (0x19, 0x18)
    for name in ("base_offset", "last_offset_delta", "first_timestamp", "max_timestamp", "count", "next_offset"):
        assert getattr(plain, name) == getattr(packed, name), name
    assert plain.data[HEADER.size :] == batch([Raw()] * 3)[HEADER.size :]


MALFORMED = {
    "longer than its length": Raw(padding=b"!"),
    "a length beyond the end": varint(10_000) + b"x",
    "a negative length": varint(-5) + b"x",
    "a length that does not end": b"\xff" * 12,
    "a million headers": varint(12) + b"\x00" * 5 + varint(1_000_000) + b"\x00" * 4,
    "headers of a negative count": varint(6) + b"\x00\x00\x02\x01\x01" + varint(-2),
    "a name without bytes": varint(8) + b"\x00\x00\x02\x01\x01\x02" + varint(-1) + b"\x00",
    "a key beyond the end": varint(5) + b"\x00\x00\x02" + varint(50) + b"\x01",
}


@pytest.mark.parametrize("record", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("compression", [Compression.NONE, Compression.LZ4], ids=lambda one: one.name)
def test_a_malformed_record_costs_no_other_that_can_be_told_apart(record: Any, compression: Compression) -> None:
    data = batch([Raw(value=b"before"), record, Raw(value=b"after")], compression) + batch([Raw()], base_offset=3)
    found = spans(read(data))
    assert found[0] == (0, 0, True)
    assert found[-1] == (3, 3, True)
    covered = [offset for first, last, _ in found for offset in range(first, last + 1)]
    assert covered == [0, 1, 2, 3], "each offset once"


def test_an_old_message_format_and_unknown_compression_are_stood_in_for() -> None:
    old = bytearray(batch([Raw()], base_offset=0))
    old[16] = 1
    unknown = framed(b"whatever", 2, 7, base_offset=1)
    found = spans(read(bytes(old) + unknown + batch([Raw()], base_offset=3)))
    assert found == [(0, 0, False), (1, 2, False), (3, 3, True)]


def test_a_wrong_checksum_is_fetched_again_before_it_counts_as_damage() -> None:
    damaged = bytearray(batch([Raw(), Raw()]))
    damaged[-1] ^= 1
    data = bytes(damaged) + batch([Raw()], base_offset=2)
    for _ in range(READS_OF_A_CORRUPT_BATCH - 1):
        records = reader(data)
        assert list(records) == []
        assert records.next_fetch_offset == 0, "so it is fetched again"
    assert spans(reader(data)) == [(0, 1, False), (2, 2, True)]


def test_a_start_in_the_midst_of_a_batch_is_not_given_again() -> None:
    good, bomb = batch([Raw()] * 5), batch([Raw(value=bytes(UNPACKED_BYTES_AT_MOST))] * 2, Compression.ZSTD)
    assert spans(read(good, 3)) == [(3, 3, True), (4, 4, True)]
    assert spans(read(bomb, 1)) == [(1, 1, False)]
    assert read(good, 5) == []


@given(st.integers(0, 2**32), st.sampled_from([Compression.NONE, Compression.LZ4, Compression.ZSTD]))
def test_any_bytes_at_all_end(seed: int, compression: Compression) -> None:
    """A payload with some bytes changed, its checksum right: every offset comes once, or stands in for."""
    chance = random.Random(seed)
    records = [Raw(chance.randbytes(3), chance.randbytes(20), ((chance.randbytes(4), b"v"),)) for _ in range(4)]
    payload = bytearray(b"".join(raw.encoded(delta) for delta, raw in enumerate(records)))
    for _ in range(chance.randrange(1, 4)):
        payload[chance.randrange(len(payload))] = chance.randrange(256)
    packed = bytearray(PACKERS[compression](bytes(payload)))
    if chance.random() < 0.3:
        packed[chance.randrange(len(packed))] ^= 0xFF
    data = framed(bytes(packed), 4, compression) + batch([Raw()], base_offset=4)
    found = spans(read(data))
    assert found[-1] == (4, 4, True)
    assert all(before[1] < after[0] for before, after in pairwise(found)), found


TRANSACTIONAL, CONTROL = 0x10, 0x20
ABORT, COMMIT = b"\x00\x00\x00\x00", b"\x00\x00\x00\x01"
MARKERS = {
    "abort": Raw(key=ABORT).encoded(0),
    "no key": Raw(key=None).encoded(0),
    "a key that is too short": Raw(key=b"\x00").encoded(0),
    "no record": b"",
    "a length beyond the end": varint(10_000) + b"x",
    "a length that does not end": b"\xff" * 12,
}


def _of_a_transaction(marker: bytes) -> bytes:
    """A record, the marker that ends its transaction at offset 1, and a record of the same producer's next one."""
    first, last = (framed(Raw().encoded(0), 1, TRANSACTIONAL, offset, producer_id=7) for offset in (0, 2))
    return first + framed(marker, 1, TRANSACTIONAL | CONTROL, 1, producer_id=7) + last


@pytest.mark.parametrize("marker", MARKERS.values(), ids=MARKERS)
@pytest.mark.parametrize("aborted", [True, False], ids=["aborted", "committed"])
def test_a_marker_that_cannot_be_parsed_is_skipped_and_ends_its_transaction(marker: bytes, aborted: bool) -> None:
    """Its producer's next transaction is not taken for an aborted one, so no committed record is lost."""
    data = _of_a_transaction(marker)
    records = BoundedRecords(
        TP, FetchedBytes(data), [(7, 0)] if aborted else [], 0, None, None, True, fetcher.READ_COMMITTED
    )
    assert [record.offset for record in records] == ([2] if aborted else [0, 2])
    assert records.next_fetch_offset == 3


def test_a_marker_that_commits_ends_nothing_that_was_aborted() -> None:
    data = _of_a_transaction(Raw(key=COMMIT).encoded(0))
    records = BoundedRecords(TP, FetchedBytes(data), [(7, 0)], 0, None, None, True, fetcher.READ_COMMITTED)
    assert [record.offset for record in records] == []
