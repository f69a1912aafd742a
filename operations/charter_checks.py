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
from nightdesk.processors.charter.problems import first_of, problem_of
from nightdesk.processors.charter.source import Position


@dataclass(frozen=True, slots=True)
class CheckedCharter:
    """One checked file. `charter` is None if it is invalid; a charter with warnings can be applied.

    `problems` and `warnings` are the first ones, and there are `more_problems` and `more_warnings`.
    """

    file: Path
    charter: Charter | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()
    more_problems: int = 0
    more_warnings: int = 0

    @property
    def is_ok(self) -> bool:
        return self.charter is not None and not self.problems


def check_charters(files: Sequence[Path], connections: Mapping[str, Collection[str]]) -> list[CheckedCharter]:
    """Check each file. `connections` are the connections in the settings of this process, with the agents that may call
    them (empty: every one). Raises `Failure` if a file cannot be read.
    """
    found: dict[Path, Charter | CharterInvalid] = {}
    for file in files:
        try:
            found[file] = load_charter(file)
        except CharterInvalid as invalid:
            found[file] = invalid
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
    found: Charter | CharterInvalid,
    twice: str | None,
    connections: Mapping[str, Collection[str]],
    others: Sequence[Charter],
) -> CheckedCharter:
    if isinstance(found, CharterInvalid):
        return CheckedCharter(file, None, found.problems, more_problems=found.more)
    forbidden = forbidden_connections(found, connections).values()
    problems = [
        *((_at_start("agent", twice),) if twice is not None else ()),
        *(_at_start("handlers", reason) for reason in forbidden),
    ]
    missing = [
        _at_start(f"handlers.{handlers[0]}", missing_connection(connection, handlers))
        for connection, handlers in missing_connections(found, connections).items()
    ]
    shown, more = first_of(problems)
    shown_warnings, more_warnings = first_of([*load_warnings(file, found, others), *missing])
    return CheckedCharter(file, found, shown, shown_warnings, more, more_warnings)


def _at_start(part: str, reason: str) -> Problem:
    return problem_of(Position(1, 1), (part,), reason)
