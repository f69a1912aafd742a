"""Checks that a value is JSON and will not be changed by encoding it. Every result of a template is checked before it
is used.

`templates.py` calls `as_json`, so every value in a step, an undo, a decision by rules or a request body can be encoded.
Pure.
"""

from collections.abc import Mapping
from datetime import date
from math import isfinite
from typing import Any

from nightdesk.processors.json_text import MAX_NESTING, is_exact, is_unicode


class NotJson(ValueError):
    """The value, or a part of it, is not JSON; the message says which part and what to do."""

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(f"{place.removeprefix('.')[:100] or 'the value'} {reason}")
        self.reason, self.place = reason, place

    def inside(self, place: str) -> "NotJson":
        """The same error, with the path from the enclosing collection."""
        return NotJson(self.reason, place + self.place)


def as_json(value: Any, levels: int = MAX_NESTING) -> Any:
    """The value as JSON's own types; a time becomes its ISO text. Raises `NotJson`."""
    match value:
        case str():
            return _text(value)
        case dict():  # before the abstract class, whose check takes several times as long
            return _collection(value, levels)
        case None | bool():
            return value
        case int():
            return _whole(value)
        case float():
            return _finite(value)
        case date():
            return value.isoformat()
        case Mapping() | list() | tuple():
            return _collection(value, levels)
    raise NotJson(f"is no JSON value but of type {type(value).__name__}")


def _collection(value: Mapping[Any, Any] | list[Any] | tuple[Any, ...], levels: int) -> Any:
    if levels == 0:
        raise NotJson(f"nests deeper than {MAX_NESTING}")
    return _array(value, levels - 1) if isinstance(value, list | tuple) else _object(value, levels - 1)


def _object(value: Mapping[Any, Any], levels: int) -> dict[str, Any]:
    found = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise NotJson(f"has a key that is no text but of type {type(key).__name__}")
        try:
            found[_text(key)] = as_json(item, levels)
        except NotJson as error:
            raise error.inside(f".{key}") from None
    return found


def _array(value: list[Any] | tuple[Any, ...], levels: int) -> list[Any]:
    found = []
    for index, item in enumerate(value):
        try:
            found.append(as_json(item, levels))
        except NotJson as error:
            raise error.inside(f"[{index}]") from None
    return found


def _text(text: str) -> str:
    if not text.isascii() and not is_unicode(text):
        raise NotJson("is a text that is not valid Unicode")
    return str(text)  # a text that Jinja marked as HTML is an ordinary text


def _whole(number: int) -> int:
    if not is_exact(number):
        raise NotJson("is a whole number with more than 64 bits: give it as a text")
    return number


def _finite(number: float) -> float:
    if not isfinite(number):
        raise NotJson(f"is {number}, and JSON has no such number")
    return number
