"""Text to charter, with all that is wrong found at once and each with its line; and a charter to JSON and back.

`nightdesk charter check` and `nightdesk charter apply` read files and call `parse_charter`; workers receive charters as
JSON on the `control` topic and call `charter_from_json`.
"""

import difflib
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from processors.charter.checks import check_charter
from processors.charter.fields import Names, Part
from processors.charter.model import Charter
from processors.charter.source import Path, Position, Source, read_yaml


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something wrong. Line and column are from 1; `path` is as in `playbooks.respond[0].undo`."""

    line: int
    column: int
    path: str
    reason: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{self.line}:{self.column}: {where}{self.reason}"


class CharterInvalid(ValueError):
    """A charter that cannot be used; `problems` has all that is wrong with it, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def parse_charter(text: str, files: Mapping[str, str]) -> Charter:
    """The charter of a YAML text. `files` holds the texts of the files it names. Raises CharterInvalid."""
    return _checked(read_yaml(text), files)


def charter_to_json(charter: Charter) -> str:
    """The whole charter with the texts of its files, as canonical JSON."""
    return charter.to_json()


def charter_from_json(text: str) -> Charter:
    """The charter that `charter_to_json` wrote, of the same version; checked as if people had written it.

    Raises CharterInvalid: anyone may produce to the `control` topic.
    """
    # JSON is YAML, but its own parser is a hundred times faster.
    try:
        source = Source(data=orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise CharterInvalid((Problem(1, 1, "", f"not JSON: {error}"),)) from None
    return _checked(source, {})


def named_files(text: str) -> tuple[str, ...]:
    """The files that a charter's text names, whether or not it is right otherwise."""
    data = _mapping(read_yaml(text).data)
    decide = _mapping(data.get("decide"))
    parts = [data, *_items(data.get("on")), *_mapping(data.get("actions")).values()]
    named = [_mapping(part).get(key) for part in parts for key in ("schema", "parameters")]
    return tuple(name for name in (decide.get("prompt"), decide.get("examples"), *named) if isinstance(name, str))


def _checked(source: Source, files: Mapping[str, str]) -> Charter:
    problems = [_problem(position, path, reason) for position, path, reason in source.problems]
    if not isinstance(source.data, dict):
        if not problems:
            problems = [_problem(Position(1, 1), (), "a charter is a mapping that begins with agent: NAME")]
        raise CharterInvalid(tuple(problems))
    charter, shape_problems = _validate(source, files)
    problems.extend(shape_problems)
    if charter is not None:
        problems.extend(_problem(source.position_of(path), path, reason) for path, reason in check_charter(charter))
    if problems or charter is None:
        raise CharterInvalid(tuple(sorted(set(problems))))
    return charter


def _validate(source: Source, files: Mapping[str, str]) -> tuple[Charter | None, list[Problem]]:
    try:
        return Charter.model_validate(source.data, context=_names(source.data, files)), []
    except ValidationError as error:
        problems = []
        for details in error.errors():
            path = _path_in(source.data, details["loc"])
            problems.append(_problem(source.position_of(path), path, _reason(details)))
        return None, problems


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(data: Mapping[str, Any], files: Mapping[str, str]) -> Names:
    handlers = _mapping(data.get("handlers"))
    read_only = {
        name
        for name, handler in handlers.items()
        if _mapping(handler).get("read_only") is True or _mapping(handler).get("type") in ("note", "remind")
    }
    return Names(
        actions=frozenset(_mapping(data.get("actions"))),
        handlers=frozenset(handlers),
        read_only=frozenset(read_only),
        files=files,
    )


def _path_in(data: Any, location: tuple[str | int, ...]) -> Path:
    """The part of pydantic's location that is in the data: it also names the chosen member of a union and `[key]`.

    The last part stays when it is a missing key, so that the problem names it.
    """
    path: list[str | int] = []
    for index, part in enumerate(location):
        if part in _keys(data):
            data = data[part]
        elif index < len(location) - 1 or part == "[key]":
            continue
        path.append(part)
    return tuple(path)


def _keys(data: Any) -> Container[str | int]:
    if isinstance(data, list):
        return range(len(data))
    return data if isinstance(data, dict) else ()


def _dotted(path: Path) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _problem(position: Position, path: Path, reason: str) -> Problem:
    return Problem(position.line, position.column, _dotted(path), reason)


def _keys_of_the_language() -> set[str]:
    names: set[str] = set()
    pending: list[type[Part]] = [Part]
    while pending:
        model = pending.pop()
        pending.extend(model.__subclasses__())
        names.update(field.alias or name for name, field in model.model_fields.items())
    return names


def _reason(details: ErrorDetails) -> str:
    match details["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            close = difflib.get_close_matches(str(details["loc"][-1]), _keys_of_the_language(), n=1)
            return f"unknown key; did you mean {close[0]!r}?" if close else "unknown key"
        case "union_tag_not_found":
            return "is missing its type: http, remind, note or kafka"
        case _:
            return details["msg"].removeprefix("Value error, ")
