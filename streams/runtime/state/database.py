"""One RocksDB database on disk: the entries of all tables of one partition (docs/decisions/0051-tables-on-disk.md).

What cannot be read or written ends the process: nothing that depends on it may be committed. A database that is damaged
is marked, so that the next start throws it away.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, cast

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

# A key and its new value; None deletes it.
Change = tuple[bytes, bytes | None]
# Called with what is wrong; it ends the process.
OnFailure = Callable[[str], NoReturn]


class StoreFailed(Exception):
    """RocksDB cannot open, read or write. Its binding raises nothing more precise than `Exception`."""


DAMAGED = "damaged"
WRITE_BUFFER_BYTES = 8 * 1024 * 1024
# RocksDB's own log of what it does: a few small files.
LOG_FILES, LOG_BYTES = 2, 1024 * 1024


class Memory:
    """The memory that all databases of a process share: blocks that were read, and writes that are in no file yet."""

    def __init__(self, cache_bytes: int) -> None:
        self.cache = Cache(cache_bytes)
        self.write_buffers = WriteBufferManager.new_write_buffer_manager_with_cache(cache_bytes // 2, False, self.cache)


class Database:
    """Keys in order, and batches of changes that are stored completely or not at all."""

    def __init__(self, path: Path, memory: Memory, on_failure: OnFailure) -> None:
        """Raises `StoreFailed` for a database that cannot be opened."""
        self.path = path
        self._on_failure = on_failure
        try:
            self._rocksdb = Rdict(str(path), _options(memory))
        except Exception as error:
            raise StoreFailed(str(error)) from error

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        try:
            return cast("bytes | None", self._rocksdb.get(key))
        except Exception as error:  # noqa: BLE001  # see `StoreFailed`
            self._fail(error)

    def items(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from `first` up to `end`, as they are now."""
        bounds = ReadOptions()
        bounds.set_iterate_upper_bound(end)
        with self._checked():
            found = self._rocksdb.iter(bounds)
            found.seek(first)
            while found.valid():
                yield found.key(), found.value()
                found.next()
            found.status()  # an iterator ends where it cannot read on, and only says here that it failed

    def write(self, changes: Iterable[Change]) -> None:
        """Store the changes, all or none."""
        batch = WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        if batch.is_empty():
            return
        with self._checked():
            self._rocksdb.write(batch)

    def delete_all(self, first: bytes, end: bytes) -> None:
        """Delete the keys from `first` up to `end`."""
        with self._checked():
            self._rocksdb.delete_range(first, end)

    def flush(self) -> None:
        """Write what is only in the log and in memory to the sorted files."""
        with self._checked():
            self._rocksdb.flush()

    def refuse(self, reason: str) -> NoReturn:
        """End the process, because what is stored cannot be understood."""
        self._on_failure(f"the local state in {self.path}: {reason}")

    def close(self) -> None:
        """Nothing may be read or written afterwards."""
        self._rocksdb.close()

    @contextmanager
    def _checked(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  # see `StoreFailed`
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        if "Corruption" in str(error):
            (self.path / DAMAGED).touch()
        self._on_failure(f"the local state in {self.path} failed: {error}")


def after(prefix: bytes) -> bytes:
    """The first key after all keys with the prefix, which ends with a zero byte."""
    return prefix[:-1] + b"\1"


def _options(memory: Memory) -> Options:
    blocks = BlockBasedOptions()
    blocks.set_block_cache(memory.cache)
    blocks.set_bloom_filter(10, False)  # its parameter has no other form
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_write_buffer_manager(memory.write_buffers)
    options.set_keep_log_file_num(LOG_FILES)
    options.set_max_log_file_size(LOG_BYTES)
    return options
