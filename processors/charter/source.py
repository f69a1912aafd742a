"""Parses YAML text to plain data with line numbers.

It uses the core schema of YAML 1.2: `on` is a string, `12:30` is no base 60 number. Keys are strings and unique.
Anchors and tags are refused, because people and other tools read charters.
"""

import re
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import yaml

from nightdesk.processors.json_text import is_exact, keeps

Path = tuple[str | int, ...]
MAX_DEPTH = 50
# Python refuses to parse an int of more than some thousand digits.
DIGITS_AT_MOST = 100
_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_ANCHORS = "anchors and aliases (& and *) are not supported: write the value out"


@dataclass(frozen=True, slots=True)
class Position:
    """Line and column, both from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Source:
    """The data, the position of each part, and the errors found so far: (position, path, reason)."""

    data: Any = None
    positions: dict[Path, Position] = field(default_factory=dict)
    problems: list[tuple[Position, Path, str]] = field(default_factory=list)

    def position_of(self, path: Path) -> Position:
        """The position of `path`; for a missing part, the position of the nearest part around it."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, Position(1, 1))


class _Refused(yaml.MarkedYAMLError):
    """Valid YAML that charters do not support."""


class _Loader(yaml.SafeLoader):
    """Composes nodes by YAML 1.2, without anchors, and no deeper than a charter can be."""

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


_TAG = "tag:yaml.org,2002:"
# Each tag of a plain word, what such a word looks like, and how it begins.
_WORDS = {
    "null": (re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""]),
    "bool": (re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")),
    "int": (re.compile(r"[-+]?[0-9]+\Z"), list("-+0123456789")),
    "float": (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z"), list("-+.0123456789")),
}
_COLLECTIONS = {yaml.MappingNode: f"{_TAG}map", yaml.SequenceNode: f"{_TAG}seq"}
_Loader.yaml_implicit_resolvers = {}
for _tag, (_pattern, _first) in _WORDS.items():
    _Loader.add_implicit_resolver(_TAG + _tag, _pattern, _first)


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


def read_yaml(text: str) -> Source:
    """Data and positions of a YAML text. Text that is no YAML, or unsupported YAML, is in `problems`."""
    source = Source()
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = str(error.problem) if isinstance(error, _Refused) else f"not YAML: {error.problem}"
        source.problems.append((_position(mark) if mark else Position(1, 1), (), reason))
        return source
    except yaml.reader.ReaderError as error:
        source.problems.append((Position(1, 1), (), f"not YAML: {str(error).splitlines()[0]}"))
        return source
    except (ValueError, OverflowError) as error:
        # The library converts digits to numbers and characters without checking how many or which they are.
        where = Position(1, 1) if loader is None else _position(loader.get_mark())
        source.problems.append((where, (), f"not YAML: a number or a character that there is not ({error})"))
        return source
    source.data = None if node is None else _build(node, (), source)
    return source


def _build(node: yaml.Node, path: Path, source: Source) -> Any:
    source.positions.setdefault(path, _position(node.start_mark))
    if isinstance(node, yaml.CollectionNode) and node.tag != _COLLECTIONS[type(node)]:
        source.problems.append((_position(node.start_mark), path, _not_a_tag(node.tag)))
        return None
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
            source.problems.append((where, path, "a key must be a string"))
            continue
        key = _text(key_node, path, source)
        if key is None:
            continue
        if key in result:
            first = source.positions[(*path, key)]
            source.problems.append((where, (*path, key), f"{key!r} is a duplicate key, first in line {first.line}"))
            continue
        source.positions[(*path, key)] = where
        result[key] = _build(value_node, (*path, key), source)
    return result


def _whole(digits: str, node: yaml.Node, path: Path, source: Source) -> int | None:
    if len(digits) <= DIGITS_AT_MOST and is_exact(int(digits)):
        return int(digits)
    source.problems.append(
        (_position(node.start_mark), path, "a whole number with more than 64 bits: write it as a string")
    )
    return None


def _finite(number: float, node: yaml.Node, path: Path, source: Source) -> float | None:
    if isfinite(number) and keeps(number, node.value):
        return number
    wrong = "changes when it is read: write it as a text" if isfinite(number) else "is larger than any number can be"
    source.problems.append((_position(node.start_mark), path, f"{node.value[:40]} {wrong}"))
    return None


def _text(node: yaml.Node, path: Path, source: Source) -> str | None:
    """The text of a scalar; a lone half of a pair of surrogates (`"\\ud800"`) is no character, and no file keeps it."""
    text: str = node.value
    half = _SURROGATE.search(text)
    if half is None:
        return text
    reason = f"U+{ord(half[0]):04X} is half a character: write the whole one, as \\U0001F600"
    source.problems.append((_position(node.start_mark), path, reason))
    return None


def _build_scalar(node: yaml.Node, path: Path, source: Source) -> Any:
    kind = node.tag.removeprefix(_TAG)
    word = _WORDS.get(kind)
    if word is not None and not word[0].match(node.value):
        source.problems.append((_position(node.start_mark), path, f"{node.value[:40]!r} is not of type {kind}"))
        return None
    match kind:
        case "str":
            return _text(node, path, source)
        case "null":
            return None
        case "bool":
            return node.value.lower() == "true"
        case "int":
            return _whole(node.value, node, path, source)
        case "float":
            return _finite(float(node.value), node, path, source)
        case _:
            source.problems.append((_position(node.start_mark), path, _not_a_tag(node.tag)))
            return None


def _not_a_tag(tag: str) -> str:
    return f"the tag {tag.removeprefix(_TAG)[:80]!r} is not supported here"
