"""Checks charter files: the errors of each, and warnings for its author."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nightdesk.operations.charters import (
    forbidden_connections,
    load_charter,
    load_warnings,
    missing_connections,
    same_agent,
)
from nightdesk.processors.charter import Charter, CharterInvalid, Problem


@dataclass(frozen=True, slots=True)
class CheckedCharter:
    """One checked file. `charter` is None if it is invalid; a charter with warnings can be applied."""

    file: Path
    charter: Charter | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()

    @property
    def is_ok(self) -> bool:
        return self.charter is not None and not self.problems


def check_charters(files: Sequence[Path], connections: Mapping[str, Collection[str]]) -> list[CheckedCharter]:
    """Check each file. `connections` are the connections in the settings of this process, with the agents that may call
    them (empty: every one). Raises `Failure` if a file cannot be read.
    """
    found: dict[Path, Charter | tuple[Problem, ...]] = {}
    for file in files:
        try:
            found[file] = load_charter(file)
        except CharterInvalid as invalid:
            found[file] = invalid.problems
    usable = [(file, charter) for file, charter in found.items() if isinstance(charter, Charter)]
    twice = same_agent(usable)
    others = [charter for _, charter in usable]
    return [_checked(file, one, twice.get(file), connections, others) for file, one in found.items()]


def missing_connection(connection: str, handlers: Sequence[str]) -> str:
    """The warning about a connection that handlers need and this machine's settings lack."""
    # Names from variables are in lower case, and no shell can set a variable with a hyphen.
    by_variable = re.fullmatch(r"[a-z0-9_]+", connection) is not None
    variable = f"NIGHTDESK_CONNECTIONS__{connection.upper()}__BASE_URL"
    setting = variable if by_variable else f"NIGHTDESK_CONNECTIONS with {connection!r} in its JSON object"
    return (
        f"connection {connection} ({', '.join(handlers)}) is not set on this machine: workers that lack {setting} too"
        " can make none of its calls"
    )


def _checked(
    file: Path,
    found: Charter | tuple[Problem, ...],
    twice: str | None,
    connections: Mapping[str, Collection[str]],
    others: Sequence[Charter],
) -> CheckedCharter:
    if not isinstance(found, Charter):
        return CheckedCharter(file, None, found)
    problems = () if twice is None else (Problem(1, 1, "agent", twice),)
    forbidden = forbidden_connections(found, connections).values()
    problems = (*problems, *(Problem(1, 1, "handlers", reason) for reason in forbidden))
    missing = tuple(
        Problem(1, 1, f"handlers.{handlers[0]}", missing_connection(connection, handlers))
        for connection, handlers in missing_connections(found, connections).items()
    )
    return CheckedCharter(file, found, problems, (*load_warnings(file, found, others), *missing))
