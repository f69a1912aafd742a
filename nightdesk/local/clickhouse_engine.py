"""ClickHouse's engine inside this process (chdb), behind one thread. Used by `nightdesk.local.clickhouse` alone.

One thread, because the engine is not re-entrant. One fresh connection handle per statement (0.4 ms), because settings
and `USE` are state of a handle: so nothing that one request sets can be seen by the next.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chdb

_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INSERT = re.compile(
    rb"(?P<into>\s*INSERT\s+INTO\s+.+?)(?P<settings>\sSETTINGS\s.+?)?\s+FORMAT\s+(?P<format>\w+)[ ]*\n?(?P<data>.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
_ERROR_CODE = re.compile(r"Code: (\d+)")


@dataclass(frozen=True, slots=True)
class Statement:
    """`text` is SQL, followed by its data where it is an insert. `parameters` go into `{name:Type}` placeholders."""

    text: bytes
    output_format: str = "TabSeparated"
    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave: its bytes in the wanted format, and what was read and written."""

    body: bytes
    read_rows: int
    read_bytes: int
    written_rows: int
    written_bytes: int
    elapsed_ns: int


class EngineError(Exception):
    """ClickHouse refused; `message` is its own text, `code` its number (0 where it names none)."""

    def __init__(self, message: str) -> None:
        found = _ERROR_CODE.search(message)
        self.message = message[found.start() :] if found else message
        self.code = int(found.group(1)) if found else 0
        super().__init__(self.message)


class Engine:
    """The data in `path`; one process owns it."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = str(path)
        self._keep_open = chdb.connect(self._path)  # the engine ends with its last handle
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clickhouse")

    async def run(self, statement: Statement) -> Answer:
        """Raises `EngineError`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, statement)

    def close(self) -> None:
        self._thread.shutdown()
        self._keep_open.close()

    def _run(self, statement: Statement) -> Answer:
        handle = chdb.connect(self._path)
        try:
            if statement.database:
                handle.query(f"USE {_identifier(statement.database)}")
            if statement.settings:
                assignments = [f"{_name(key)} = {_text(value)}" for key, value in statement.settings.items()]
                handle.query("SET " + ", ".join(assignments))
            with _whole(statement.text) as text:
                result = handle.query(text, statement.output_format, params=dict(statement.parameters))
            return Answer(
                body=result.bytes() or b"",
                read_rows=result.storage_rows_read(),
                read_bytes=result.storage_bytes_read(),
                written_rows=result.rows_written(),
                written_bytes=result.bytes_written(),
                elapsed_ns=int(result.elapsed() * 1e9),
            )
        except (RuntimeError, chdb.ChdbError) as error:
            raise EngineError(str(error)) from error
        finally:
            handle.close()


@contextmanager
def _whole(text: bytes) -> Iterator[Any]:
    """The statement as the engine takes all of it: inline data ends for it at the first empty line, which binary data
    may hold anywhere, so such data goes by a file. Typed as str by the engine, but it takes bytes."""
    insert = _INSERT.match(text)
    if insert is None or b"\n\n" not in insert["data"]:
        yield text
        return
    with tempfile.NamedTemporaryFile(suffix=".insert") as file:
        file.write(insert["data"])
        file.flush()
        source = f" FROM INFILE {_text(file.name)} ".encode()
        yield insert["into"] + source + (insert["settings"] or b"") + b" FORMAT " + insert["format"]


def _name(setting: str) -> str:
    if not _SETTING_NAME.fullmatch(setting):
        raise EngineError(f"Code: 115. DB::Exception: Unknown setting {setting!r}. (UNKNOWN_SETTING)")
    return setting


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _identifier(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
