"""Facts by partition and key: what the changelog says comes back, and a late write of a former owner does not count."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.changes import RECORD_BYTES_AT_MOST, Changes, Put, RecordTooLarge
from streams.runtime.tables import ENVELOPE, FactTable
from tests.streams.runtime.memory import table
from tests.streams.storm.conversation import local_codec

VALUES = st.binary(min_size=1, max_size=8)


def _event(partition: int, key: bytes, value: bytes | None) -> Any:
    return SimpleNamespace(message=SimpleNamespace(partition=partition, key=key, value=value))


def _written(term: int, value: bytes, expires_at: float = 0.0) -> bytes:
    return ENVELOPE.pack(term, expires_at) + value


def _recovered(*changelog: tuple[int, bytes, bytes | None]) -> FactTable:
    facts = table("facts")
    facts.apply_changelog_batch([_event(*record) for record in changelog])
    return facts


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(min_size=1, max_size=2), st.none() | VALUES), max_size=30))
def test_what_was_written_is_what_is_recovered(puts: list[tuple[int, bytes, bytes | None]]) -> None:
    before = table("facts")
    changelog = [
        (partition, key, before.write(Put(before, partition, key, value, 0.0)).value) for partition, key, value in puts
    ]
    after = _recovered(*changelog)
    for partition in range(4):
        assert after.facts(partition) == before.facts(partition)


@given(st.lists(st.tuples(st.integers(1, 5), VALUES), min_size=1, max_size=20))
def test_the_last_of_the_newest_term_counts(writes: list[tuple[int, bytes]]) -> None:
    facts = _recovered(*((0, b"key", _written(term, value)) for term, value in writes))
    newest = max(term for term, _ in writes)
    assert facts.read(0, "key") == [value for term, value in writes if term == newest][-1]


@pytest.mark.parametrize("value", [b"\x00", b"0", b"{}", b'""', b"false", b"null"])
def test_a_fact_that_looks_like_nothing_is_kept(value: bytes) -> None:
    assert _recovered((0, b"key", None), (0, b"key", _written(1, value))).read(0, "key") == value


def test_a_fact_names_its_partition() -> None:
    facts = _recovered((0, b"key", _written(1, b"here")), (1, b"key", _written(1, b"there")))
    assert (facts.read(0, "key"), facts.read(1, "key"), facts.read(2, "key")) == (b"here", b"there", None)
    assert set(facts.partitions_held()) == {0, 1}
    assert len(facts) == 2


def test_a_message_goes_to_the_changelog_of_its_partition() -> None:
    facts = table("facts")
    message = facts.write(Put(facts, 3, b"key", b"value", 7.5))
    assert (message.topic, message.partition, message.key) == ("memory-facts-changelog", 3, b"key")
    assert message.value == _written(1, b"value", 7.5)


def test_forgetting_is_a_tombstone() -> None:
    facts = table("facts")
    facts.write(Put(facts, 0, b"key", b"value", 5.0))
    assert facts.write(Put(facts, 0, b"key", None, 0.0)).value is None
    assert facts.read(0, "key") is None
    assert list(facts.expired(0, 10.0)) == []


def test_what_expires_is_named_once_its_time_is_over() -> None:
    facts = _recovered(
        (0, b"soon", _written(1, b"v", 10.0)), (0, b"late", _written(1, b"v", 20.0)), (0, b"never", _written(1, b"v"))
    )
    assert list(facts.expired(0, 9.9)) == []
    assert list(facts.expired(0, 10.0)) == [b"soon"]
    assert list(facts.expired(1, 99.0)) == []


def test_a_fact_that_was_written_again_expires_by_its_last_time() -> None:
    facts = table("facts")
    facts.write(Put(facts, 0, b"key", b"v", 10.0))
    facts.write(Put(facts, 0, b"key", b"v", 30.0))
    assert list(facts.expired(0, 20.0)) == []
    assert list(facts.expired(0, 30.0)) == [b"key"]


def test_a_fact_that_was_written_again_without_an_expiry_never_expires() -> None:
    facts = table("facts")
    facts.write(Put(facts, 0, b"key", b"v", 10.0))
    facts.write(Put(facts, 0, b"key", b"v", 0.0))
    assert list(facts.expired(0, 99.0)) == []


def test_a_term_is_newer_than_every_term_in_the_changelog() -> None:
    far_ahead = 2**50  # a former owner whose clock was wrong
    facts = _recovered((0, b"key", _written(far_ahead, b"v")))
    assert facts._next_term(0) == far_ahead + 1
    assert facts._next_term(1) < far_ahead


def test_a_write_to_a_partition_that_is_not_ours_is_an_error() -> None:
    facts = table("facts", partitions=1)
    with pytest.raises(KeyError):
        facts.write(Put(facts, 2, b"key", b"v", 0.0))


def test_a_fact_larger_than_its_topic_takes_is_refused_before_anything_is_written() -> None:
    changes = Changes(local_codec(), "t.", 0)
    with pytest.raises(RecordTooLarge, match="facts"):
        changes.put(table("facts"), "key", bytes(RECORD_BYTES_AT_MOST + 1))
    assert changes.puts == []
