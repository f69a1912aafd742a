"""`make bench-stores`: RocksDB against LMDB on the access pattern of the tables.

docs/decisions/0051-tables-on-disk.md says what the figures decided.

Each store runs in a process of its own. It is filled in batches of facts, each with an entry of the index by time and
with the offset; then facts are read and replaced at random, and what is over is deleted in the order of time. At last
the process is killed while it writes, and the store must open with a whole batch and the offset that belongs to it.
"""

from __future__ import annotations

import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Protocol

import lmdb
import psutil
import typer
from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteBufferManager,
)

BATCH = 500
CACHE_BYTES = 64 * 1024 * 1024
LMDB_MAP_BYTES = 16 * 1024 * 1024 * 1024
OFFSET = b"o"
NUMBER = struct.Struct(">Q")
# A value as `progress` has it: JSON that compresses to a third.
VALUE = b'{"at":1795176000.0,"state":"settled","agent":"support-desk","step":%d,"action":"respond","reason":"%s"}'


class Store(Protocol):
    """What the tables need of a store. A value of None deletes its key."""

    def get(self, key: bytes) -> bytes | None: ...

    def write(self, batch: Iterable[tuple[bytes, bytes | None]]) -> None: ...

    def keys(self, first: bytes, end: bytes) -> Iterator[bytes]: ...


class RocksDb:
    """Without a sync for each batch: after a power cut the log ends with a whole batch."""

    def __init__(self, path: Path) -> None:
        cache, blocks = Cache(CACHE_BYTES), BlockBasedOptions()
        blocks.set_block_cache(cache)
        blocks.set_bloom_filter(10, block_based=False)
        blocks.set_cache_index_and_filter_blocks(True)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_block_based_table_factory(blocks)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_write_buffer_manager(
            WriteBufferManager.new_write_buffer_manager_with_cache(CACHE_BYTES // 2, False, cache)
        )
        self._db = Rdict(str(path), options)

    def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._db.get(key)
        return value

    def write(self, batch: Iterable[tuple[bytes, bytes | None]]) -> None:
        writes = WriteBatch(raw_mode=True)
        for key, value in batch:
            writes.delete(key) if value is None else writes.put(key, value)
        self._db.write(writes)

    def keys(self, first: bytes, end: bytes) -> Iterator[bytes]:
        bounds = ReadOptions()
        bounds.set_iterate_upper_bound(end)
        yield from self._db.keys(from_key=first, read_opt=bounds)


class Lmdb:
    """Without a sync for each batch; not `writemap`, with which a power cut may damage the file."""

    def __init__(self, path: Path) -> None:
        self._env = lmdb.open(str(path), map_size=LMDB_MAP_BYTES, sync=False, metasync=False)

    def get(self, key: bytes) -> bytes | None:
        with self._env.begin() as reading:
            value: bytes | None = reading.get(key)
            return value

    def write(self, batch: Iterable[tuple[bytes, bytes | None]]) -> None:
        with self._env.begin(write=True) as writing:
            for key, value in batch:
                writing.delete(key) if value is None else writing.put(key, value)

    def keys(self, first: bytes, end: bytes) -> Iterator[bytes]:
        with self._env.begin() as reading, reading.cursor() as cursor:
            if cursor.set_range(first):
                for key in cursor.iternext(values=False):
                    if key >= end:
                        return
                    yield key


STORES: dict[str, Callable[[Path], Store]] = {"rocksdb": RocksDb, "lmdb": Lmdb}


def _fact(number: int) -> tuple[bytes, bytes]:
    shuffled = number * 0x9E3779B97F4A7C15 % 2**64
    return b"f%016x-%032d" % (shuffled, number), VALUE % (number, b"%064x" % shuffled * 3)


def _entries(numbers: Iterable[int], at: int) -> Iterator[tuple[bytes, bytes | None]]:
    for number in numbers:
        key, value = _fact(number)
        yield key, value
        yield b"t" + NUMBER.pack(at + number) + key, b""


def _fill(store: Store, facts: int) -> None:
    for first in range(0, facts, BATCH):
        batch = list(_entries(range(first, min(first + BATCH, facts)), 0))
        store.write([*batch, (OFFSET, NUMBER.pack(first // BATCH))])


def _get(store: Store, numbers: list[int]) -> None:
    for number in numbers:
        assert store.get(_fact(number)[0]) is not None


def _replace(store: Store, numbers: list[int]) -> None:
    for first in range(0, len(numbers), BATCH):
        store.write([*_entries(numbers[first : first + BATCH], 0), (OFFSET, NUMBER.pack(first))])


def _expire(store: Store, facts: int) -> None:
    over = list(store.keys(b"t", b"t" + NUMBER.pack(facts)))
    for first in range(0, len(over), BATCH):
        keys = over[first : first + BATCH]
        store.write([(key, None) for one in keys for key in (one, one[1 + NUMBER.size :])])


def _timed(what: str, count: int, work: Callable[[], None]) -> str:
    began = time.process_time()
    work()
    return f"{what} {(time.process_time() - began) / count * 1e6:.1f} us"


def _measure(name: str, path: Path, facts: int) -> None:
    store, chance = STORES[name](path), random.Random(1)
    some = [chance.randrange(facts) for _ in range(facts // 5)]
    recent = [facts - 1 - chance.randrange(max(1, facts // 50)) for _ in range(facts // 5)]
    figures = [
        _timed("write", facts, lambda: _fill(store, facts)),
        _timed("get any", len(some), lambda: _get(store, some)),
        _timed("get recent", len(recent), lambda: _get(store, recent)),
        _timed("replace", len(some), lambda: _replace(store, some)),
    ]
    disk = sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())
    memory = psutil.Process().memory_info()
    figures.append(_timed("expire", facts // 10, lambda: _expire(store, facts // 10)))
    print(f"{name}: {', '.join(figures)}, disk {disk / facts:.0f} bytes a fact, rss {memory.rss / 2**20:.0f} MB")


def _write_for_ever(name: str, path: Path) -> None:
    store = STORES[name](path)
    print("writes", flush=True)
    for number in range(2**40):
        store.write([*((b"c%04d" % one, NUMBER.pack(number)) for one in range(BATCH)), (OFFSET, NUMBER.pack(number))])


def _survives_a_kill(name: str, path: Path) -> None:
    for wait_s in (0.3, 0.7, 1.1):
        writer = subprocess.Popen([sys.executable, "-m", "benchmarks.stores", "--write", name, "--path", str(path)],
                                  stdout=subprocess.PIPE)  # fmt: skip
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(wait_s)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        store = STORES[name](path)
        held = {store.get(b"c%04d" % one) for one in range(BATCH)}
        assert held == {store.get(OFFSET)}, f"{name}: after a kill the batch is not whole"
        del store
    print(f"{name}: three kills in the midst of writing left whole batches with their offset")


def main(
    facts: Annotated[int, typer.Option(min=1_000, help="facts in the store")] = 1_000_000,
    only: Annotated[str, typer.Option(hidden=True)] = "",
    write: Annotated[str, typer.Option(hidden=True)] = "",
    path: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Print two lines for each store."""
    if write and path:
        _write_for_ever(write, path)
    elif only and path:
        _measure(only, path / "facts", facts)
        _survives_a_kill(only, path / "killed")
    else:
        for name in STORES:
            with tempfile.TemporaryDirectory(prefix="nightdesk-stores-") as home:
                arguments = ["--facts", str(facts), "--only", name, "--path", home]
                subprocess.run([sys.executable, "-m", "benchmarks.stores", *arguments], check=True)


if __name__ == "__main__":
    typer.run(main)
