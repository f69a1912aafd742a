"""Records with one field at or beyond its bound, as a client with write access could produce them."""

import typing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from nightdesk.schemas.bounds import NAME_CHARACTERS_AT_MOST
from nightdesk.schemas.records import Record

R = TypeVar("R", bound=Record)

TEXTS = (
    "",
    "another",
    "a\x00b",
    "\x1b[2J\u202e\u2028",
    "[/quote] {{ 7 * 7 }}",
    "null",
    "[]",
    "{",
    '{"a": 1, "a": 2}',
    '{"amount": 1e400}',
    '{"amount": 123456789012345678901234567890}',
    "[" * 2000 + "]" * 2000,
    '"\\ud800"',
    "n" * NAME_CHARACTERS_AT_MOST,
    "n" * (NAME_CHARACTERS_AT_MOST + 1),
    "\U0001f600" * NAME_CHARACTERS_AT_MOST,
)
NUMBERS = (0, 1, -1, 2, 20, 500_000, 10**9, 2**31, 2**62, 2**63 - 1, -(2**63))
FRACTIONS = (0.0, 1.0, -0.0, -1.0, 1.1, 1e308, float("nan"), float("inf"), float("-inf"))
MOMENTS = (
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2026, 11, 19, tzinfo=UTC),
    datetime(2026, 11, 21, tzinfo=UTC),
    datetime(2126, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(9999, 12, 31, tzinfo=UTC) - timedelta(days=3),
)
BYTES = (b"", b"\x00", b"\xff" * 100, b"x" * 1_000_000)


def mutants(record: R, depth: int = 4) -> Iterator[tuple[str, R]]:
    """The record with one field changed, nested ones included, and what was changed."""
    for name, field in type(record).model_fields.items():
        value = getattr(record, name)
        for what, other in _others(value, field.annotation, depth):
            if other != value or type(other) is not type(value):
                yield f"{name}={what}", record.model_copy(update={name: other})


def _others(value: Any, kind: Any, depth: int) -> Iterator[tuple[str, Any]]:
    kind, may_be_none = _plain(kind)
    if may_be_none and value is not None:
        yield "None", None
    if isinstance(value, Record):
        if depth:
            yield from ((f"[{what}]", other) for what, other in mutants(value, depth - 1))
    elif get_origin(kind) is Literal:
        yield from ((repr(other), other) for other in get_args(kind))
    elif get_origin(kind) is tuple:
        yield from _tuples(value, get_args(kind)[0], depth)
    elif (values := _VALUES.get(kind)) is not None:
        yield from ((repr(other)[:40], other) for other in values)


def _tuples(value: tuple[Any, ...], kind: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if value:
        yield "()", ()
        yield "twice", value * 2
        yield "500 times", value * 500
        for what, other in _others(value[0], kind, depth):
            yield f"[{what}]", (other, *value[1:])
    elif _plain(kind)[0] is str:
        yield "a name", ("another",)
        yield "500 names", ("another",) * 500


def _plain(kind: Any) -> tuple[Any, bool]:
    """A type without its bounds, and whether None is allowed."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        others = [one for one in get_args(kind) if one is not NoneType]
        return _plain(others[0])[0], True
    return kind, False


_VALUES: typing.Mapping[Any, tuple[Any, ...]] = {
    str: TEXTS,
    int: NUMBERS,
    float: FRACTIONS,
    bool: (True, False),
    datetime: MOMENTS,
    bytes: BYTES,
}
