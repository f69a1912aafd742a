"""Parses a charter, reporting all errors at once, each with its line; and converts a charter to JSON and back.

`nightdesk charter check` and `nightdesk charter apply` read files and call `parse_charter`; workers receive charters as
JSON on the `control` topic and call `charter_from_json`.
"""

import difflib
from collections.abc import Container, Mapping
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nightdesk.processors.charter.checks import check_charter
from nightdesk.processors.charter.fields import Names, Part
from nightdesk.processors.charter.handlers import HANDLER_TYPES, READ_ONLY_TYPES
from nightdesk.processors.charter.model import Charter
from nightdesk.processors.charter.problems import CharterInvalid, Problem, problem_of
from nightdesk.processors.charter.source import Path, Position, Source, read_yaml
from nightdesk.processors.sizes import sizes_by_depth

# Of its YAML and of the schemas in files together.
MAX_DEPTH_OF_JSON = 150


def parse_charter(text: str, files: Mapping[str, str]) -> Charter:
    """The charter of a YAML text. `files` has the texts of the files that it names. Raises `CharterInvalid`."""
    return _checked(read_yaml(text), files)


def charter_to_json(charter: Charter) -> str:
    """The charter with the texts of its files, as canonical JSON."""
    return charter.to_json()


def charter_from_json(text: str) -> Charter:
    """The charter that `charter_to_json` wrote, of the same version. It is checked like a file, because anyone with
    write access can produce to the `control` topic. Raises `CharterInvalid`.
    """
    # JSON is YAML, but the JSON parser is a hundred times faster.
    try:
        source = Source(data=orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise CharterInvalid((Problem(1, 1, "", f"not JSON: {error}"),)) from None
    if len(sizes_by_depth(source.data)) > MAX_DEPTH_OF_JSON:
        raise CharterInvalid((Problem(1, 1, "", f"nested deeper than {MAX_DEPTH_OF_JSON} levels"),))
    return _checked(source, {})


def named_files(text: str) -> tuple[str, ...]:
    """The files that a charter's text names, whether or not the text is valid otherwise."""
    data = _mapping(read_yaml(text).data)
    decide = _mapping(data.get("decide"))
    parts = [data, *_items(data.get("on")), *_mapping(data.get("actions")).values()]
    named = [_mapping(part).get(key) for part in parts for key in ("schema", "parameters")]
    return tuple(name for name in (decide.get("prompt"), decide.get("examples"), *named) if isinstance(name, str))


def problem_at(text: str, path: Path, reason: str) -> Problem:
    """The problem with its place in the YAML text of a charter."""
    return problem_of(read_yaml(text).position_of(path), path, reason)


def _checked(source: Source, files: Mapping[str, str]) -> Charter:
    problems = [problem_of(position, path, reason) for position, path, reason in source.problems]
    if not isinstance(source.data, dict):
        if not problems:
            problems = [problem_of(Position(1, 1), (), "a charter is a mapping that starts with agent: NAME")]
        raise CharterInvalid(problems)
    charter, shape_problems = _validate(source, files)
    problems.extend(shape_problems)
    if charter is not None:
        problems.extend(problem_of(source.position_of(path), path, reason) for path, reason in check_charter(charter))
    if problems or charter is None:
        raise CharterInvalid(sorted(set(problems)))
    return charter


def _validate(source: Source, files: Mapping[str, str]) -> tuple[Charter | None, list[Problem]]:
    try:
        return Charter.model_validate(source.data, context=_names(source.data, files)), []
    except ValidationError as error:
        problems = []
        for details in error.errors():
            path = _path_in(source.data, details["loc"])
            problems.append(problem_of(source.position_of(path), path, _reason(details)))
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
        # What is no text is no type, and may not even be asked for in a set.
        if _mapping(handler).get("read_only") is True or str(_mapping(handler).get("type")) in READ_ONLY_TYPES
    }
    return Names(
        actions=frozenset(_mapping(data.get("actions"))),
        handlers=frozenset(handlers),
        read_only=frozenset(read_only),
        files=files,
    )


def _path_in(data: Any, location: tuple[str | int, ...]) -> Path:
    """The part of pydantic's location that is in the data; pydantic also adds the chosen member of a union and `[key]`.

    The last part stays if it is a missing key, so that the error names it.
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
            close = difflib.get_close_matches(str(details["loc"][-1])[:100], _keys_of_the_language(), n=1)
            return f"unknown key; did you mean {close[0]!r}?" if close else "unknown key"
        case "union_tag_not_found":
            return f"is missing its type: {', '.join(HANDLER_TYPES)}"
        case _:
            return details["msg"].removeprefix("Value error, ")
