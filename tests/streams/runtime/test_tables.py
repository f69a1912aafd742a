"""State by partition and key: recovery gives what the changelog has, and a late write of a former owner does not
count.
"""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.messaging.changelog import ENVELOPE, Entry, decode, encode
from nightdesk.messaging.producer import Message
from nightdesk.schemas.bounds import RECORD_BYTES_AT_MOST
from nightdesk.streams.api.staged_writes import RecordTooLarge, StagedWrites
from nightdesk.streams.api.state_store import Put, StateStore
from tests.streams.fault_injection.conversation import local_codec
from tests.streams.runtime.memory import faust_table, table

VALUES = st.binary(min_size=1, max_size=8)


def _written(term: int, value: bytes, expires_at: float = 0.0) -> bytes:
    return ENVELOPE.pack(term, expires_at) + value


class _Read:
    """A message as Faust reads it."""

    def __init__(self, offset: int, message: Message) -> None:
        self.offset, self.partition = offset, message.partition
        self.key, self.value, self.headers = message.key, message.value, message.headers


def _recovered(*changelog: tuple[int, bytes | None, bytes | None]) -> StateStore:
    facts = table("facts")
    for record in changelog:
        facts.recover(*record, None)
    return facts


def _recovered_entries(*entries: Entry) -> StateStore:
    facts = table("facts")
    for entry in entries:
        facts.recover(0, b"key", *encode(entry))
    return facts


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(min_size=1, max_size=2), st.none() | VALUES), max_size=30))
def test_what_was_written_is_what_is_recovered(puts: list[tuple[int, bytes, bytes | None]]) -> None:
    before = table("facts")
    written = [before.write(Put(before, partition, key, value, 0.0)) for partition, key, value in puts]
    after = table("facts")
    batch = [SimpleNamespace(message=_Read(offset, one)) for offset, one in enumerate(written)]
    faust_table(after).apply_changelog_batch(batch)  # type: ignore[arg-type]  # of Faust's events it reads the message
    for partition in range(4):
        assert dict(after.items(partition)) == dict(before.items(partition))


@given(st.lists(st.tuples(st.integers(1, 5), st.none() | VALUES), min_size=1, max_size=20))
def test_the_last_of_the_newest_term_counts(writes: list[tuple[int, bytes | None]]) -> None:
    facts = _recovered_entries(*(Entry(term, 0.0, value) for term, value in writes))
    newest = max(term for term, _ in writes)
    assert facts.get(0, "key") == [value for term, value in writes if term == newest][-1]


def test_a_deletion_that_a_former_owner_wrote_late_deletes_nothing() -> None:
    assert _recovered_entries(Entry(2, 0.0, b"v"), Entry(1, 0.0, None)).get(0, "key") == b"v"


def test_a_value_that_a_former_owner_wrote_late_does_not_undo_a_deletion() -> None:
    assert _recovered_entries(Entry(2, 0.0, None), Entry(1, 0.0, b"v")).get(0, "key") is None


def test_a_deletion_that_names_no_term_is_older_than_all() -> None:
    facts = _recovered((0, b"key", _written(1, b"v")), (0, b"key", None))
    assert facts.get(0, "key") == b"v"


def test_a_record_without_a_key_is_no_write_of_ours() -> None:
    assert len(_recovered((0, None, b"junk"))) == 0


@pytest.mark.parametrize("value", [b"\x00", b"0", b"{}", b'""', b"false", b"null"])
def test_a_fact_that_looks_like_nothing_is_kept(value: bytes) -> None:
    assert _recovered((0, b"key", None), (0, b"key", _written(1, value))).get(0, "key") == value


def test_a_fact_names_its_partition() -> None:
    facts = _recovered((0, b"key", _written(1, b"here")), (1, b"key", _written(1, b"there")))
    assert (facts.get(0, "key"), facts.get(1, "key"), facts.get(2, "key")) == (b"here", b"there", None)
    assert set(facts.partitions()) == {0, 1}
    assert len(facts) == 2


def test_a_message_goes_to_the_changelog_of_its_partition() -> None:
    facts = table("facts")
    faust_table(facts)
    message = facts.write(Put(facts, 3, b"key", b"value", 7.5))
    assert (message.topic, message.partition, message.key) == ("memory-facts-changelog", 3, b"key")
    assert message.value == _written(1, b"value", 7.5)


def test_forgetting_is_a_tombstone() -> None:
    facts = table("facts")
    facts.write(Put(facts, 0, b"key", b"value", 5.0))
    message = facts.write(Put(facts, 0, b"key", None, 0.0))
    assert message.value is None, "or compaction would keep the key for ever"
    assert decode(message.value, message.headers) == Entry(1, 0.0, None)
    assert facts.get(0, "key") is None
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


def test_a_fact_that_was_written_twice_with_one_expiry_is_named_once_until_it_is_written_again() -> None:
    facts = table("facts")
    for value in (b"v", b"w"):
        facts.write(Put(facts, 0, b"key", value, 10.0))
    assert list(facts.expired(0, 10.0)) == [b"key"]
    assert list(facts.expired(0, 10.0)) == []
    facts.write(Put(facts, 0, b"key", b"x", 10.0))
    assert list(facts.expired(0, 10.0)) == [b"key"]


def test_a_fact_that_was_written_again_without_an_expiry_never_expires() -> None:
    facts = table("facts")
    facts.write(Put(facts, 0, b"key", b"v", 10.0))
    facts.write(Put(facts, 0, b"key", b"v", 0.0))
    assert list(facts.expired(0, 99.0)) == []


def _term(facts: StateStore, partition: int) -> int:
    facts.begin_term(partition, 1)
    value = facts.write(Put(facts, partition, b"key", b"v", 0.0)).value
    return decode(value, None).term


def test_a_term_is_newer_than_every_term_in_the_changelog() -> None:
    far_ahead = 2**50  # a former owner whose clock was wrong
    facts = _recovered_entries(Entry(far_ahead, 0.0, b"v"))
    assert _term(facts, 0) == far_ahead + 1
    facts = _recovered_entries(Entry(far_ahead, 0.0, None))
    assert _term(facts, 0) == far_ahead + 1
    assert _term(facts, 1) < far_ahead


def test_a_write_to_a_partition_that_is_not_ours_is_an_error() -> None:
    facts = table("facts", partitions=1)
    with pytest.raises(KeyError):
        facts.write(Put(facts, 2, b"key", b"v", 0.0))


def test_a_fact_larger_than_its_topic_takes_is_refused_before_anything_is_written() -> None:
    writes = StagedWrites(local_codec(), "t.", 0)
    with pytest.raises(RecordTooLarge, match="facts"):
        writes.put(table("facts"), "key", bytes(RECORD_BYTES_AT_MOST + 1))
    assert writes.puts == []
