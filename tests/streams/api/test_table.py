"""Typed tables: a value is read as it was written, and an expired entry is handled by the stage once."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from nightdesk.schemas.bounds import RECORD_BYTES_AT_MOST
from nightdesk.streams.api import Base64Bytes, RecordTooLarge, StagedWrites, Table
from tests.streams.fault_injection.conversation import local_codec
from tests.streams.runtime.memory import begin_terms

PARTITION = 1


class Moment(NamedTuple):
    cause: str
    at: float


class Inner(BaseModel):
    text: str


class Entry(BaseModel):
    moments: tuple[Moment, ...] = ()
    raw: Base64Bytes = b""
    inner: Inner | None = None


ENTRIES = st.builds(
    Entry,
    moments=st.lists(st.builds(Moment, st.text(), st.floats(0, 1e12))).map(tuple),
    raw=st.binary(),
    inner=st.none() | st.builds(Inner, text=st.text()),
)


def _table() -> Table[Entry]:
    table = Table("entries", Entry)
    begin_terms(table.store)
    return table


def _writes() -> StagedWrites:
    return StagedWrites(local_codec(), "t.", PARTITION)


def _submit(writes: StagedWrites) -> None:
    for put in (*writes.puts, *writes.puts_after_emit):
        put.store.write(put)


@given(ENTRIES)
def test_what_is_put_is_read_as_it_was(entry: Entry) -> None:
    table, writes = _table(), _writes()
    table.put(writes, "key", entry)
    assert table.get(PARTITION, "key") is None, "it is staged, and nothing has happened yet"
    _submit(writes)
    assert table.get(PARTITION, "key") == entry
    assert table.get(PARTITION + 1, "key") is None
    assert list(table.items(PARTITION)) == [("key", entry)]
    assert list(table.slices()) == [[(PARTITION, "key", entry)]]
    assert (table.count(PARTITION), table.partitions()) == (1, [PARTITION])


def test_what_is_deleted_is_gone() -> None:
    table, writes = _table(), _writes()
    table.put(writes, "key", Entry())
    table.delete(writes, "key")
    _submit(writes)
    assert table.get(PARTITION, "key") is None


def test_what_is_put_after_emit_is_no_part_of_the_state_that_comes_first() -> None:
    table, writes = _table(), _writes()
    table.put_after_emit(writes, "key", Entry(), 7.0)
    assert writes.puts == []
    assert [(put.key, put.expires_at) for put in writes.puts_after_emit] == [(b"key", 7.0)]


def test_without_a_hook_what_expires_is_deleted() -> None:
    table, writes = _table(), _writes()
    table.put(writes, "soon", Entry(), 10.0)
    table.put(writes, "later", Entry(), 20.0)
    _submit(writes)
    swept = _writes()
    table.expire(PARTITION, swept, 10.0)
    assert [(put.key, put.value) for put in swept.puts] == [(b"soon", None)]


def test_a_hook_is_given_each_entry_once() -> None:
    given: list[tuple[str, Entry]] = []
    table = Table("entries", Entry, lambda key, entry, _: given.append((key, entry)))
    begin_terms(table.store)
    writes = _writes()
    table.put(writes, "key", Entry(raw=b"old"), 10.0)
    table.put(writes, "key", Entry(raw=b"new"), 10.0)
    _submit(writes)
    for _ in range(2):
        swept = _writes()
        table.expire(PARTITION, swept, 10.0)
        assert swept.puts == []
    assert given == [("key", Entry(raw=b"new"))]


def test_a_value_of_another_shape_is_an_error_and_no_guess() -> None:
    table, writes = _table(), _writes()
    writes.put(table.store, "key", b'{"moments": "many"}')
    _submit(writes)
    with pytest.raises(ValidationError):
        table.get(PARTITION, "key")


def test_a_value_larger_than_its_topic_takes_is_refused_before_anything_is_staged() -> None:
    table, writes = _table(), _writes()
    with pytest.raises(RecordTooLarge, match="entries"):
        table.put(writes, "key", Entry(raw=bytes(RECORD_BYTES_AT_MOST)))
    assert writes.puts == []
