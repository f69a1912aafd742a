"""Reads charters and the files beside them: the edge around the pure parser."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.processors.charter import Charter, CharterInvalid, Problem, case_price, parse_charter
from nightdesk.processors.charter.parsing import named_files, problem_at
from nightdesk.processors.charter.warnings import warnings_for

CHARTER_FILE = "charter.yaml"
MAX_FILE_BYTES = 1_000_000
# Of a path that cannot be read, which may be anything.
SHOWN_CHARACTERS = 300


def charter_file(path: Path) -> Path:
    """The charter file of `path`: the file itself, or the `charter.yaml` in a folder."""
    return path / CHARTER_FILE if _is_folder(path) else path


def charter_files(folder: Path) -> tuple[Path, ...]:
    """The charters in a folder: its `charter.yaml`, or every YAML file directly in it if it has none, and each
    `NAME/charter.yaml`.

    Other files beside a `charter.yaml` belong to that charter.
    """
    own = folder / CHARTER_FILE
    direct = (own,) if own.is_file() else tuple(sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))))
    return (*direct, *sorted(folder.glob(f"*/{CHARTER_FILE}")))


def charter_paths(path: Path) -> tuple[Path, ...]:
    """The charters at `path`: the file, or those in the folder."""
    return (charter_files(path) if _is_folder(path) else ()) or (charter_file(path),)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def same_agent(loaded: Sequence[tuple[Path, Charter]]) -> dict[Path, str]:
    """File -> error, for files whose agent another file defines, too, because only one of them would be in force."""
    files: dict[str, dict[Path, Path]] = {}
    for file, charter in loaded:
        files.setdefault(charter.agent, {})[file.resolve()] = file
    return {
        file: f"agent {agent} is also in {', '.join(str(other) for other in found.values() if other != file)}:"
        " an agent has one charter, so rename one or remove it"
        for agent, found in files.items()
        if len(found) > 1
        for file in found.values()
    }


def missing_connections(charter: Charter, connections: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Connection -> the handlers that need it, for connections that the settings of this process lack."""
    needing: dict[str, list[str]] = {}
    for name, handler in charter.handlers.items():
        if handler.outside and handler.outside not in connections:
            needing.setdefault(handler.outside, []).append(name)
    return {connection: tuple(handlers) for connection, handlers in needing.items()}


def forbidden_connections(charter: Charter, agents: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Connection -> error, for connections that the settings reserve for other agents. `agents` has the agents that may
    call each connection; empty means every one.
    """
    used = {handler.outside for handler in charter.handlers.values()}
    return {
        connection: f"connection {connection} is only for {', '.join(sorted(allowed))}: add {charter.agent} to"
        f" NIGHTDESK_CONNECTIONS__{connection.upper()}__AGENTS here and at the workers"
        for connection, allowed in agents.items()
        if connection in used and allowed and charter.agent not in allowed
    }


def load_charter(path: Path) -> Charter:
    """The charter in a file or folder, with the files that it names.

    Raises `CharterInvalid` with all errors, and `Failure` if there is no readable file.
    """
    file = charter_file(path)
    text = _read(file)
    beside = file.parent.resolve()
    found = ((name, _file_beside(beside, name)) for name in named_files(text))
    files = {name: _read(target) for name, target in found if target is not None}
    charter = parse_charter(text, files)
    if reason := case_price.too_small(charter):
        raise CharterInvalid((problem_at(text, case_price.PATH, reason),))
    return charter


def _file_beside(folder: Path, name: str) -> Path | None:
    """The file that a charter names. It can include only files beside it, because its content is sent to every worker.

    Also None for a name that no file can have, such as one of 5,000 characters, and for links that lead in a circle.
    """
    try:
        target = (folder / name).resolve()
        return target if target.is_relative_to(folder) and target.is_file() else None
    except (OSError, ValueError, RuntimeError):
        return None


def usable_charter(path: Path) -> Charter:
    """Like `load_charter`, but raises a `Failure` with the first error."""
    try:
        return load_charter(path)
    except CharterInvalid as invalid:
        problem = invalid.problems[0]
        raise Failure(
            f"{charter_file(path)}: line {problem.line}: {problem.reason}", "See `nightdesk charter check FILE`"
        ) from None


def usable_charters(files: Sequence[Path]) -> list[Charter]:
    """All charters. Raises `Failure` for the first one that is invalid."""
    found = [(file, usable_charter(file)) for file in files]
    for file, reason in same_agent(found).items():
        raise Failure(f"{file}: {reason}")
    return [charter for _, charter in found]


def load_warnings(path: Path, charter: Charter, others: Sequence[Charter] = ()) -> tuple[Problem, ...]:
    """The warnings for a charter that `load_charter` read from `path`, given the `others` that would be in force with
    it.
    """
    return warnings_for(charter, _read(charter_file(path)), others)


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:  # a device has no size, and no end
            content = opened.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise Failure(f"{file} has more than {MAX_FILE_BYTES} bytes", "A charter and its files are small texts")
        return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8").read()  # with `\n` for every line break
    except FileNotFoundError:
        raise Failure(f"there is no file {file}", "Name a charter.yaml or its folder", FailureKind.NOT_FOUND) from None
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None


def _unreadable(path: Path, error: OSError | ValueError) -> Failure:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return Failure(f"{str(path)[:SHOWN_CHARACTERS]} cannot be read: {reason}", "Make it a readable UTF-8 text")
