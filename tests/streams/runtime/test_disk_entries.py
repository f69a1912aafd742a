"""Tables on disk: they say what tables in memory say, are never ahead of their changelog, and survive what may happen
to a disk.
"""

import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightdesk.messaging.changelog import Entry, encode
from nightdesk.messaging.producer import Message, Span
from nightdesk.streams.api.entries import Entries, MemoryEntries
from nightdesk.streams.api.state_store import Put, StateStore
from nightdesk.streams.runtime.state.disk_entries import EXPIRED_AT_MOST, GROUPS_AHEAD, DiskEntries
from nightdesk.streams.runtime.state.state_folder import FolderInUse, StateFolder
from nightdesk.streams.runtime.state.stored_form import DELETED_KEPT_S, Identity
from tests.effort import examples

IDENTITY = Identity(cluster_id="c", topic_id="t", program_format=1)
CACHE_BYTES = 16 * 1024 * 1024


class Failed(Exception):
    """In place of the end of the process."""


def fail(reason: str) -> NoReturn:
    raise Failed(reason)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StateFolder]:
    folder = StateFolder(tmp_path / "state", CACHE_BYTES, fail)
    yield folder
    folder.close()


def adds(key: bytes, value: bytes) -> list[tuple[bytes, tuple[int, ...]]]:
    """How many values begin with a byte and how long they are; and an index by length."""
    return [(b"sum " + value[:1], (1, len(value))), (b"long" + bytes([min(len(value), 255)]) + key, (1,))]


class Worker:
    """One process with one table in one partition: what it writes gets the next offsets of the log."""

    def __init__(self, folder: StateFolder, log: list[Message]) -> None:
        self.log = log
        self.entries = DiskEntries(folder.database(0), "facts", IDENTITY, adds)
        self.read = 0
        for offset in range(self.entries.progress.offset, len(log)):
            message, self.read = log[offset], self.read + 1
            self.store.recover(0, message.key, message.value, message.headers)
        if self.read:
            self.store.recovered_to(0, len(log))
        self.store.begin_term(0, 1)
        self.store.end_recovery()

    @property
    def store(self) -> StateStore:
        if not hasattr(self, "_store"):
            self._store = StateStore("facts")
            self._store.keep_in(0, self.entries)
        return self._store

    def write(self, key: bytes, value: bytes | None, expires_at: float = 0.0) -> Message:
        return self.store.write(Put(self.store, 0, key, value, expires_at))

    def deliver(self, *messages: Message) -> Span:
        span = Span(len(self.log), len(self.log) + len(messages) - 1, len(messages))
        self.log.extend(messages)
        self.store.acknowledged(0, messages, span)
        return span


VALUES = st.none() | st.binary(min_size=1, max_size=6)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("write", "deliver", "die", "late")),
        st.binary(min_size=1, max_size=1),
        VALUES,
        st.sampled_from((0.0, 10.0, 20.0)),
    ),
    max_size=40,
)


@settings(max_examples=examples(60), deadline=None)
@given(STEPS)
def test_after_each_death_the_disk_says_what_the_whole_changelog_says(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bytes, bytes | None, float]]
) -> None:
    """Writes are delivered or lost with their process, and former owners write late; then a process starts again."""
    folder = StateFolder(tmp_path_factory.mktemp("state"), CACHE_BYTES, fail)
    log: list[Message] = []
    worker, waiting = Worker(folder, log), list[Message]()
    for what, key, value, expires_at in steps:
        if what == "write":
            waiting.append(worker.write(key, value, expires_at))
        elif what == "deliver" and waiting:
            worker.deliver(*waiting)
            waiting = []
        elif what == "late" and len(log) > 2:
            late, headers = encode(Entry(1, expires_at, value))
            log.append(Message("facts-changelog", key, late, headers, 0))
        elif what == "die":
            waiting = []
            worker.store.clear()
            worker = Worker(folder, log)
            assert _all(worker.store) == _all(_from_the_beginning(log))
        assert _totals(worker.store) == _summed(worker.store), "also of writes that are on their way"
    worker.store.clear()
    worker = Worker(folder, log)
    plain = _from_the_beginning(log)
    assert _all(worker.store) == _all(plain)
    assert worker.store.count(0) == plain.count(0)
    assert _totals(worker.store) == _summed(plain)
    assert sorted(worker.store.expired(0, 15.0)) == sorted(plain.expired(0, 15.0))
    assert sorted(worker.store.expired(0, 25.0)) == sorted(plain.expired(0, 25.0)), "each is given once"
    folder.close()


def _from_the_beginning(log: list[Message]) -> StateStore:
    store = StateStore("facts")
    for message in log:
        store.recover(0, message.key, message.value, message.headers)
    store.begin_term(0, 1)
    store.end_recovery()
    return store


def _all(store: StateStore) -> dict[bytes, bytes]:
    return dict(store.items(0))


def _totals(store: StateStore) -> dict[bytes, tuple[int, ...]]:
    found = list(store.totals(0, b"", b"\xff") or ())
    assert len(dict(found)) == len(found), "each once"
    return dict(found)


def _summed(store: StateStore) -> dict[bytes, tuple[int, ...]]:
    sums: dict[bytes, tuple[int, ...]] = {}
    for key, value in store.items(0):
        for name, amounts in adds(key, value):
            sums[name] = tuple(map(sum, zip(sums.get(name, (0,) * len(amounts)), amounts, strict=True)))
    return sums


def test_totals_are_found_by_their_names_and_thrown_away_with_the_entries(folder: StateFolder) -> None:
    worker = Worker(folder, [])
    worker.deliver(*(worker.write(bytes([number]), b"v" * number) for number in range(1, 9)))
    worker.write(b"\x09", b"v" * 6)
    found = dict(worker.store.totals(0, b"long\x06", b"long\x08") or ())
    assert found == {b"long\x06\x06": (1,), b"long\x06\x09": (1,), b"long\x07\x07": (1,)}
    in_memory: Entries = MemoryEntries()
    assert in_memory.totals(b"", b"\xff") is None
    worker.store.clear()
    worker.entries.throw_away()
    assert _totals(worker.store) == {}


def test_an_entry_that_cannot_be_read_ends_the_process(folder: StateFolder) -> None:
    """Faust ignores what recovery raises, and would go on without the entry."""

    def refuse(_key: bytes, _value: bytes) -> list[tuple[bytes, tuple[int, ...]]]:
        raise ValueError("of a newer program")

    entries = DiskEntries(folder.database(0), "facts", IDENTITY, refuse)
    entries.recover(b"k", Entry(1, 0.0, b"v"))
    with pytest.raises(Failed, match="of a newer program"):
        entries.recovered_to(1)


def test_the_disk_is_never_ahead_of_the_changelog(folder: StateFolder) -> None:
    worker = Worker(folder, [])
    message = worker.write(b"key", b"value")
    assert worker.store.get(0, "key") == b"value", "the stage sees its own write"
    assert Worker(folder, []).store.get(0, "key") is None, "and another process does not, before the broker has it"
    worker.deliver(message)
    again = Worker(folder, worker.log)
    assert (again.store.get(0, "key"), again.read) == (b"value", 0)


def test_a_start_reads_only_what_is_new(folder: StateFolder) -> None:
    worker = Worker(folder, [])
    worker.deliver(*(worker.write(b"%d" % number, b"v") for number in range(10)))
    value, headers = encode(Entry(99, 0.0, b"new"))
    log = [*worker.log, Message("facts-changelog", b"other", value, headers, 0)]
    again = Worker(folder, log)
    assert (again.read, again.store.count(0), again.store.get(0, "other")) == (1, 11, b"new")


def test_records_of_a_former_owner_between_ours_are_read_at_the_next_start(folder: StateFolder) -> None:
    """A process that was frozen gets its acknowledgement at last, and what its successor wrote lies before."""
    worker = Worker(folder, [])
    worker.deliver(worker.write(b"a", b"old"))
    late = worker.write(b"b", b"late")
    value, headers = encode(Entry(99, 0.0, b"of the successor"))
    worker.log.append(Message("facts-changelog", b"a", value, headers, 0))
    worker.deliver(late)
    assert Worker(folder, worker.log).store.get(0, "a") == b"of the successor"


def test_groups_that_are_acknowledged_in_another_order_are_not_read_again(folder: StateFolder) -> None:
    """Two are on their way at once; the broker has them in their order, and its answers come as they like."""
    worker = Worker(folder, [])
    first, second, third = (worker.write(b"key", b"%d" % number) for number in range(3))
    worker.log.extend((first, second, third))
    worker.store.acknowledged(0, [second], Span(1, 1, 1))
    worker.store.acknowledged(0, [third], Span(2, 2, 1))
    worker.store.acknowledged(0, [first], Span(0, 0, 1))
    again = Worker(folder, worker.log)
    assert (again.store.get(0, "key"), again.read) == (b"2", 0)


def test_records_of_another_process_are_said_once(folder: StateFolder, caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker(folder, [])
    for number in range(1, 3 * GROUPS_AHEAD):
        worker.store.acknowledged(0, [worker.write(b"%d" % number, b"v")], Span(number, number, 1))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert worker.entries.progress.offset == 0


def test_a_late_write_of_an_earlier_term_does_not_bring_back_what_was_deleted(folder: StateFolder) -> None:
    worker = Worker(folder, [])
    worker.store.begin_term(0, 1_000)
    worker.deliver(worker.write(b"key", b"value"))
    worker.deliver(worker.write(b"key", None))
    value, headers = encode(Entry(999, 0.0, b"late"))
    log = [*worker.log, Message("facts-changelog", b"key", value, headers, 0)]
    again = Worker(folder, log)
    assert (again.read, again.store.get(0, "key"), again.store.count(0)) == (1, None, 0)


def test_what_is_deleted_leaves_the_disk_after_a_day(folder: StateFolder) -> None:
    worker = Worker(folder, [])
    worker.deliver(worker.write(b"key", b"value"))
    worker.deliver(worker.write(b"key", None))
    database = folder.database(0)
    assert worker.store.expired(0, DELETED_KEPT_S - 1) == []
    assert len(list(database.items(b"e", b"f"))) == 1
    assert worker.store.expired(0, DELETED_KEPT_S + 1) == []
    assert list(database.items(b"e", b"f")) == []
    assert list(database.items(b"t", b"u")) == []


def test_of_many_that_expire_at_once_a_tick_gets_some_in_the_order_of_time(folder: StateFolder) -> None:
    worker = Worker(folder, [])
    count = EXPIRED_AT_MOST + 10
    worker.deliver(*(worker.write(b"%05d" % number, b"v", 1.0 + number) for number in reversed(range(count))))
    first, second = worker.store.expired(0, 1e6), worker.store.expired(0, 1e6)
    assert [*first, *second] == [b"%05d" % number for number in range(count)]
    assert worker.store.expired(0, 1e6) == []
    worker.deliver(*(worker.write(key, None) for key in (*first, *second)))
    assert worker.store.count(0) == 0


def test_a_write_that_is_followed_by_another_before_it_is_acknowledged(folder: StateFolder) -> None:
    worker = Worker(folder, [])
    first = worker.write(b"key", b"1", 10.0)
    second = worker.write(b"key", b"2", 20.0)
    worker.deliver(first)
    assert worker.store.get(0, "key") == b"2"
    worker.deliver(second)
    again = Worker(folder, worker.log)
    assert (again.store.get(0, "key"), again.store.count(0)) == (b"2", 1)
    assert (again.store.expired(0, 15.0), again.store.expired(0, 25.0)) == ([], [b"key"])


def test_a_second_process_on_the_folder_is_refused(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path, CACHE_BYTES, fail)
    code = (
        "import sys\nfrom pathlib import Path\nfrom nightdesk.streams.runtime.state.state_folder import *\n"
        f"try:\n    StateFolder(Path(sys.argv[1]), {CACHE_BYTES})\nexcept FolderInUse as error:\n    print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert f"another process uses the local state in {tmp_path}" in said.stdout
    folder.close()
    StateFolder(tmp_path, CACHE_BYTES, fail).close()


def test_one_process_opens_a_folder_once(folder: StateFolder, tmp_path: Path) -> None:
    with pytest.raises(FolderInUse):
        StateFolder(tmp_path / "state", CACHE_BYTES, fail)


@pytest.mark.parametrize("damage", ["truncated", "overwritten", "no manifest", "marked"])
def test_a_damaged_database_is_thrown_away_and_that_is_said(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = StateFolder(tmp_path, CACHE_BYTES, fail)
    worker = Worker(folder, [])
    worker.deliver(*(worker.write(b"%05d" % number, os.urandom(200)) for number in range(5_000)))
    folder.database(0).flush()
    folder.close()
    _damage(tmp_path / "partition-0", damage)
    folder = StateFolder(tmp_path, CACHE_BYTES, fail)
    again = Worker(folder, worker.log)
    assert again.read == len(worker.log), "everything is read again"
    assert _all(again.store) == _all(_from_the_beginning(worker.log))
    [said] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "thrown away" in said
    folder.close()


def _damage(path: Path, damage: str) -> None:
    if damage == "marked":
        (path / "damaged").touch()
    elif damage == "no manifest":
        for manifest in path.glob("MANIFEST-*"):
            manifest.unlink()
    else:
        [file, *_] = path.glob("*.sst")
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"\xff" * len(content))


def test_a_log_whose_end_was_lost_leaves_an_earlier_state_with_its_offset(tmp_path: Path) -> None:
    """As after a power cut: the log of RocksDB ends with a whole batch, and the rest is read from the changelog."""
    folder = StateFolder(tmp_path / "now", CACHE_BYTES, fail)
    worker = Worker(folder, [])
    for number in range(50):
        worker.deliver(worker.write(b"%05d" % number, b"v" * 100), worker.write(b"last", b"%d" % number))
    shutil.copytree(tmp_path / "now" / "partition-0", tmp_path / "then" / "partition-0")
    folder.close()
    [wal] = (tmp_path / "then" / "partition-0").glob("*.log")
    os.truncate(wal, wal.stat().st_size // 2)
    folder = StateFolder(tmp_path / "then", CACHE_BYTES, fail)
    again = Worker(folder, worker.log)
    assert 0 < again.read < len(worker.log)
    assert _all(again.store) == _all(_from_the_beginning(worker.log))
    folder.close()


def _write_for_ever(path: str) -> None:
    folder = StateFolder(Path(path), CACHE_BYTES)
    worker = Worker(folder, [])
    for number in range(2**40):
        worker.deliver(*(worker.write(b"%03d" % key, b"%d" % number) for key in range(100)))


def test_a_kill_in_the_midst_of_a_write_leaves_whole_batches_with_their_offset(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    for _ in range(3):
        writer = spawn.Process(target=_write_for_ever, args=(str(tmp_path),))
        writer.start()
        while not list((tmp_path / "partition-0").glob("*.log")):
            time.sleep(0.01)
        time.sleep(0.3)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        folder = StateFolder(tmp_path, CACHE_BYTES, fail)
        entries = DiskEntries(folder.database(0), "facts", IDENTITY)
        values = {value for _, value in entries.items()}
        assert len(values) <= 1, "all of a batch or nothing of it"
        assert entries.progress.offset % 100 == 0
        entries.throw_away()
        folder.close()


def _fill_the_disk(path: str) -> None:
    sys.stdout = (Path(path) / "log").open("w", buffering=1_000_000)
    sys.stdout.write("x" * 300_000)  # what the process said last does not fit either
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    folder = StateFolder(Path(path), CACHE_BYTES)
    worker = Worker(folder, [])
    for number in range(100_000):
        worker.deliver(worker.write(b"%d" % number, os.urandom(1_000)))
    os._exit(0)


def test_a_disk_that_takes_no_more_ends_the_process(tmp_path: Path) -> None:
    """The files of the process may not grow, as on a full disk; `fail_stop` ends it before anything is committed."""
    writer = multiprocessing.get_context("spawn").Process(target=_fill_the_disk, args=(str(tmp_path),))
    writer.start()
    writer.join(60)
    assert writer.exitcode == 70


def test_what_cannot_be_read_ends_the_process_and_is_thrown_away_at_the_next_start(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path, CACHE_BYTES, fail)
    worker = Worker(folder, [])
    worker.deliver(*(worker.write(b"%05d" % number, os.urandom(200)) for number in range(5_000)))
    folder.database(0).flush()
    folder.close()
    [file, *_] = (tmp_path / "partition-0").glob("*.sst")
    content = bytearray(file.read_bytes())
    content[5_000:6_000] = bytes(1_000)
    file.write_bytes(content)
    folder = StateFolder(tmp_path, CACHE_BYTES, fail)
    entries = DiskEntries(folder.database(0), "facts", IDENTITY)
    with pytest.raises(Failed, match="Corruption"):
        list(entries.items())
    folder.close()
    folder = StateFolder(tmp_path, CACHE_BYTES, fail)
    assert list(DiskEntries(folder.database(0), "facts", IDENTITY).items()) == []
    folder.close()


def test_memory_does_not_grow_with_what_is_stored(tmp_path: Path) -> None:
    """The memory of RocksDB is that of its cache, in which its writes count, too."""
    folder = StateFolder(tmp_path, CACHE_BYTES, fail)
    worker = Worker(folder, [])
    value = os.urandom(2_000)
    for batch in range(50):
        worker.deliver(*(worker.write(b"%08d" % (batch * 1_000 + number), value) for number in range(1_000)))
    assert sum(1 for _ in worker.entries.items()) == 50_000, "100 MB were written and read"
    assert folder.memory_used() <= 1.5 * CACHE_BYTES
    assert not worker.entries._pending
    folder.close()


def test_memory_entries_and_disk_entries_have_one_interface(folder: StateFolder) -> None:
    for entries in (MemoryEntries(), DiskEntries(folder.database(0), "facts", IDENTITY)):
        store = StateStore("facts")
        store.keep_in(0, entries)
        store.begin_term(0, 5)
        message = store.write(Put(store, 0, b"key", b"value", 7.5))
        store.acknowledged(0, [message], Span(0, 0, 1))
        assert (store.get(0, "key"), store.expired(0, 8.0), store.count(0)) == (b"value", [b"key"], 1)
        store.clear()
        assert store.get(0, "key") is None
