"""Replaces what the charter's list `redact` names in a text: values of the event's data, and two patterns.

The patterns are ours and bounded: one of a charter could take minutes for a text. A value is found as it is, as JSON
writes it, and where the text was cut in the midst of it.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from nightdesk.processors.prompts import LEFT_OUT, MAX_TEXT_CHARACTERS
from nightdesk.processors.scopes import DataInvalid, parse_json

PATTERNS = {
    "emails": re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}"),
    # Telephone, card and account numbers: eight digits or more, also in groups.
    "long_numbers": re.compile(r"(?<!\d)\d(?:[ ./-]?\d){7,33}"),
}
# A shorter value would be found everywhere, and says little.
LEAST_CHARACTERS = 3


class Redactor:
    """What one event's texts are redacted by."""

    def __init__(self, names: Sequence[str], data: str) -> None:
        """`names` are patterns, and paths into the event's data such as `data.customer.email`."""
        self._patterns = [(name, PATTERNS[name]) for name in names if name in PATTERNS]
        found = {text: name for name in names if name not in PATTERNS for text in _texts(name, data)}
        # A value that contains another one goes first.
        self._values = sorted(found.items(), key=lambda one: (-len(one[0]), one))

    def __call__(self, text: str) -> str:
        for value, name in self._values:
            text = _without_beginning(text.replace(value, _mark(name)), value, name)
        for name, pattern in self._patterns:
            text = pattern.sub(_mark(name), text)
        return text


def _mark(name: str) -> str:
    return f"[redacted: {name}]"


def _texts(path: str, data: str) -> Iterator[str]:
    """The ways in which the values at a path may be written."""
    try:
        value = parse_json(data, "data")
    except DataInvalid:
        return
    for name in path.split(".")[1:]:
        value = value.get(name) if isinstance(value, dict) else None
    for text in _leaves(value):
        for each in (text, text[:MAX_TEXT_CHARACTERS]):
            ways = {each, orjson.dumps(each).decode()[1:-1], json.dumps(each)[1:-1]}
            yield from (way for way in ways if len(way) >= LEAST_CHARACTERS)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _without_beginning(text: str, value: str, name: str) -> str:
    """The text without a beginning of the value just before the mark of what was left out."""
    parts = text.split(LEFT_OUT)
    for number, part in enumerate(parts[:-1]):
        ends = (size for size in range(len(value) - 1, LEAST_CHARACTERS - 1, -1) if part.endswith(value[:size]))
        size = next(ends, 0)
        if size:
            parts[number] = part[:-size] + _mark(name)
    return LEFT_OUT.join(parts)
