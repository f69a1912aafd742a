"""ClickHouse's engine inside this process (chdb), behind one thread.

One thread, because the engine is not re-entrant. A new connection handle for each statement (0.4 ms), because settings
and `USE` are state of a handle: so no request sees the settings of another.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import chdb

from nightdesk.local.clickhouse_rights import Rights
from nightdesk.sinks.clickhouse.quoting import literal

# Not `default`: in this engine that database shows the files of the working directory as tables.
DATABASE = "nightdesk"
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INSERT = re.compile(
    rb"(?P<into>\s*INSERT\s+INTO\s+.+?)(?P<settings>\sSETTINGS\s.+?)?\s+FORMAT\s+(?P<format>\w+)[ ]*\n?(?P<data>.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
# Of the machine's memory. A statement that needs more fails; the system would end this process, or another one.
MEMORY_RATIO = 0.3
# The disk of backups: a folder beside the data.
BACKUP_DISK = "backups"
# The engine's only user has all rights except those on files, URLs and other servers.
_CONFIG = (
    "<clickhouse><users_config>{users}</users_config>"
    f"<storage_configuration><disks><{BACKUP_DISK}><type>local</type><path>{{backups}}/</path></{BACKUP_DISK}></disks>"
    f"</storage_configuration><backups><allowed_disk>{BACKUP_DISK}</allowed_disk></backups>"
    f"<max_server_memory_usage_to_ram_ratio>{MEMORY_RATIO}</max_server_memory_usage_to_ram_ratio></clickhouse>"
)
_USERS = """<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default>
<password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
<grants><query>GRANT SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE TEMPORARY TABLE, DROP,
TRUNCATE, OPTIMIZE, SHOW, BACKUP, TABLE ENGINE ON *.*, READ, WRITE ON DISK</query></grants></default></users>
</clickhouse>"""
ACCESS_DENIED = 497
_ERROR_CODE = re.compile(r"Code: (\d+)")


@dataclass(frozen=True, slots=True)
class Statement:
    """`text` is SQL, followed by its data for an insert. `parameters` are the values of `{name:Type}` placeholders.

    With `rights` it is refused unless they allow it.
    """

    text: bytes
    output_format: str = "TabSeparated"
    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    rights: Rights | None = None


@dataclass(frozen=True, slots=True)
class StatementResult:
    """The result of a statement: its bytes in the requested format, and what was read and written."""

    body: bytes
    read_rows: int
    read_bytes: int
    written_rows: int
    written_bytes: int
    elapsed_ns: int


class EngineError(Exception):
    """ClickHouse refused the statement; `message` is its own text, `code` its number (0 if it has none)."""

    def __init__(self, message: str) -> None:
        found = _ERROR_CODE.search(message)
        self.message = message[found.start() :] if found else message
        self.code = int(found.group(1)) if found else 0
        super().__init__(self.message)


class Engine:
    """The data in `path`; one process owns it."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._address = f"{path}?config-file={_configure(path)}"
        self._keep_open = chdb.connect(self._address)  # the engine ends with its last handle
        self._check_rights()
        self._keep_open.query(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clickhouse")

    def _check_rights(self) -> None:
        """Raises `EngineError` if the configuration was not read, because without it every file can be read."""
        try:
            self._keep_open.query("SELECT count() FROM file('/dev/null', 'LineAsString')")
        except (RuntimeError, chdb.ChdbError) as error:
            if EngineError(str(error)).code == ACCESS_DENIED:
                return
            raise EngineError(str(error)) from error
        raise EngineError("the engine did not read its configuration, so it would serve every file: not started")

    async def run(self, statement: Statement) -> StatementResult:
        """Raises `EngineError`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, statement)

    def close(self) -> None:
        self._thread.shutdown()
        self._keep_open.close()

    def _run(self, statement: Statement) -> StatementResult:
        handle = chdb.connect(self._address)
        try:
            handle.query(f"USE {_identifier(statement.database or DATABASE)}")
            if statement.settings:
                assignments = [f"{_name(key)} = {literal(value)}" for key, value in statement.settings.items()]
                handle.query("SET " + ", ".join(assignments))
            if statement.rights is not None:
                _check_rights(handle, statement, statement.rights)
            with _whole(statement.text) as text:
                result = handle.query(text, statement.output_format, params=dict(statement.parameters))
            return StatementResult(
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


def _check_rights(handle: Any, statement: Statement, rights: Rights) -> None:
    def ask(question: str) -> list[str]:
        answer = handle.query(question, "JSONEachRow", params=dict(statement.parameters)).bytes() or b""
        return [str(value) for line in answer.splitlines() for value in json.loads(line).values()]

    wrong = rights.why_refused(statement.text, statement.database or DATABASE, ask)
    if wrong is not None:
        raise EngineError(f"Code: 497. DB::Exception: {rights.account.name}: {wrong}. (ACCESS_DENIED)")


def _configure(path: Path) -> Path:
    """Write the engine's configuration beside its data, and return the file."""
    users, config = path.with_name(f"{path.name}-users.xml"), path.with_name(f"{path.name}-config.xml")
    backups = path.with_name(f"{path.name}-backups").resolve()
    users.write_text(_USERS, encoding="utf-8")
    config.write_text(
        _CONFIG.format(users=escape(str(users.resolve())), backups=escape(str(backups))), encoding="utf-8"
    )
    return config


@contextmanager
def _whole(text: bytes) -> Iterator[Any]:
    """The statement in a form that the engine reads completely: for the engine, inline data ends at the first empty
    line, which binary data may have anywhere, so such data goes through a file. The engine types it as str, but accepts
    bytes.
    """
    insert = _INSERT.match(text)
    if insert is None or b"\n\n" not in insert["data"]:
        yield text
        return
    with tempfile.NamedTemporaryFile(suffix=".insert") as file:
        file.write(insert["data"])
        file.flush()
        source = f" FROM INFILE {literal(file.name)} ".encode()
        yield insert["into"] + source + (insert["settings"] or b"") + b" FORMAT " + insert["format"]


def _name(setting: str) -> str:
    if not _SETTING_NAME.fullmatch(setting):
        raise EngineError(f"Code: 115. DB::Exception: Unknown setting {setting!r}. (UNKNOWN_SETTING)")
    return setting


def _identifier(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
