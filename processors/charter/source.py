"""YAML text to plain data that remembers its lines.

`parsing.py` calls it. YAML 1.2's core words only: `on` is a text, `12:30` is no number in base 60; keys are texts,
given once; anchors and tags are refused, since a charter is read by people and by other tools.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
MAX_DEPTH = 50
_NO_ANCHORS = "anchors and aliases (& and *) are not part of the language: write it out"


@dataclass(frozen=True, slots=True)
class Position:
    """Line and column, both from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Source:
    """The data, where each part of it stands, and what was wrong already: (position, path, reason)."""

    data: Any = None
    positions: dict[Path, Position] = field(default_factory=dict)
    problems: list[tuple[Position, Path, str]] = field(default_factory=list)

    def position_of(self, path: Path) -> Position:
        """Where `path` stands; for what is not there, the nearest part around it."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, Position(1, 1))


class _Refused(yaml.MarkedYAMLError):
    """YAML that is right, and not of our kind."""


class _Loader(yaml.SafeLoader):
    """Composes nodes with the words of YAML 1.2, without anchors, and no deeper than a charter can be."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _Refused(problem=_NO_ANCHORS, problem_mark=event.start_mark)
        if self._depth == MAX_DEPTH:
            raise _Refused(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=event.start_mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


def read_yaml(text: str) -> Source:
    """Data and positions of a YAML text. What is no YAML, or not of our kind, is in `problems`."""
    source = Source()
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = str(error.problem) if isinstance(error, _Refused) else f"not YAML: {error.problem}"
        source.problems.append((_position(mark) if mark else Position(1, 1), (), reason))
        return source
    except yaml.reader.ReaderError as error:
        source.problems.append((Position(1, 1), (), f"not YAML: {str(error).splitlines()[0]}"))
        return source
    source.data = None if node is None else _build(node, (), source)
    return source


def _build(node: yaml.Node, path: Path, source: Source) -> Any:
    source.positions.setdefault(path, _position(node.start_mark))
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(node, path, source)
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, index), source) for index, item in enumerate(node.value)]
    return _build_scalar(node, path, source)


def _build_mapping(node: yaml.MappingNode, path: Path, source: Source) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        where = _position(key_node.start_mark)
        if not isinstance(key_node, yaml.ScalarNode):
            source.problems.append((where, path, "a key must be a plain text"))
            continue
        key = key_node.value
        if key in result:
            first = source.positions[(*path, key)]
            source.problems.append((where, (*path, key), f"{key!r} is here twice, first in line {first.line}"))
            continue
        source.positions[(*path, key)] = where
        result[key] = _build(value_node, (*path, key), source)
    return result


def _build_scalar(node: yaml.Node, path: Path, source: Source) -> Any:
    match node.tag.removeprefix("tag:yaml.org,2002:"):
        case "str":
            return node.value
        case "null":
            return None
        case "bool":
            return node.value.lower() == "true"
        case "int":
            return int(node.value)
        case "float":
            return float(node.value)
        case other:
            source.problems.append((_position(node.start_mark), path, f"the tag {other!r} is not part of the language"))
            return None
