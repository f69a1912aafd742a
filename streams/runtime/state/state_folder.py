"""The folder with the local state of one stage: a database for each partition. One process at a time uses it.

A database that cannot be opened, or was found damaged, is thrown away: its entries are read again from the changelogs.
"""

import fcntl
import logging
import shutil
from pathlib import Path
from typing import NoReturn

from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop
from nightdesk.streams.runtime.state.database import DAMAGED, Database, Memory, OnFailure, StoreFailed

log = logging.getLogger(__name__)


class FolderInUse(Exception):
    """Another process uses the folder."""


def end_process(reason: str) -> NoReturn:
    """Nothing was committed that depends on what could not be read or written."""
    fail_stop(
        ExitCode.CANNOT_WRITE,
        f"{reason}. Nothing was committed, and the next process handles the records in hand again. If the disk is full,"
        " enlarge it or empty the folder (NIGHTDESK_WORKER__STATE_DIR): it is read again from Kafka",
    )


class StateFolder:
    """Opens the databases, each once."""

    def __init__(self, path: Path, cache_bytes: int, on_failure: OnFailure = end_process) -> None:
        """Raises `FolderInUse`, and `OSError` for a folder that cannot be written."""
        path.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._memory = Memory(cache_bytes)
        self._on_failure = on_failure
        self._databases: dict[int, Database] = {}
        # Held for the life of the process; the system releases it however the process ends.
        self._lock = (path / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise FolderInUse(f"another process uses the local state in {path}") from error

    def database(self, partition: int) -> Database:
        """The database of a partition."""
        known = self._databases.get(partition)
        if known is None:
            known = self._databases[partition] = self._open(self._path / f"partition-{partition}")
        return known

    def memory_used(self) -> int:
        """Bytes of the cache that are in use, with those of writes that are in no file yet."""
        return self._memory.cache.get_usage()

    def close(self) -> None:
        """Close every database and let others use the folder."""
        for database in self._databases.values():
            database.close()
        self._databases.clear()
        self._lock.close()

    def _open(self, path: Path) -> Database:
        if (path / DAMAGED).exists():
            log.warning("the local state in %s is damaged: it is thrown away and read again from the changelogs", path)
            shutil.rmtree(path)
        try:
            return Database(path, self._memory, self._on_failure)
        except StoreFailed as error:
            if not path.exists():
                self._on_failure(f"the local state in {path} cannot be created: {error}")
            log.warning(
                "the local state in %s cannot be opened, so it is thrown away and read again from the changelogs: %s",
                path,
                error,
            )
            shutil.rmtree(path)
        try:
            return Database(path, self._memory, self._on_failure)
        except StoreFailed as error:
            self._on_failure(f"the local state in {path} cannot be created: {error}")
