"""Parses JSON from outside without changing any value. Pure.

Parsers silently differ in three points: a whole number of more than 64 bits becomes a float, which is a different
number (orjson, JavaScript); a number with a point or an exponent becomes the nearest float, which from 2**53 on may be
a different whole number; and of a duplicate key one value is dropped. None of these may happen to data that a decision
is based on or that is sent.
"""

import json
from decimal import Decimal
from typing import Any

import orjson

MAX_NESTING = 64
# The whole numbers that orjson reads and writes exactly.
SMALLEST, LARGEST = -(2**63), 2**64 - 1
_DIGITS_AT_MOST = len(str(SMALLEST))
# Up to here the floats are closer to each other than whole numbers are.
WHOLE_IN_FLOATS = 2**53


class DataInvalid(ValueError):
    """The `data` of an event, or the parameters of a decision, is not JSON, is nested too deeply, or cannot be kept
    exactly.
    """


def parse_json(text: str, what: str) -> Any:
    """The value of a JSON text. Raises `DataInvalid`, naming `what`."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise DataInvalid(f"{what} is not JSON: {error}") from None
    # Few texts have so many braces that the values have to be checked.
    if text.count("{") + text.count("[") > MAX_NESTING and _nests_deeper(value, MAX_NESTING):
        raise DataInvalid(f"{what} nests deeper than {MAX_NESTING}")
    return value


def parse_exact(text: str, what: str, *, keys_may_repeat: bool = False) -> Any:
    """The same; also raises `DataInvalid` for a number that would become another, or a duplicate key in an object."""
    value = parse_json(text, what)
    try:
        (_NUMBERS if keys_may_repeat else _NUMBERS_AND_KEYS).decode(text)
    except _Inexact as error:
        raise DataInvalid(f"{what} {error}") from None
    return value


def repeats_key(text: str) -> str | None:
    """What is wrong with a JSON text in which an object has a key twice; None if none has."""
    try:
        _KEYS.decode(text)
    except _Inexact as error:
        return str(error)
    return None


def is_exact(number: int) -> bool:
    """Whether JSON keeps a whole number exactly."""
    return SMALLEST <= number <= LARGEST


def is_unicode(text: str) -> bool:
    """Whether a text can be encoded: half a surrogate, as in `"\\ud800"`, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def keeps(number: float, digits: str) -> bool:
    """Whether the float that was read from `digits` is sent as the same number.

    What 64 bits hold may become a whole number before it is sent, so there the float has to be equal, too. Beyond that
    it is enough that it is written as it was: 1e29 is sent as 1e29.
    """
    if abs(number) < WHOLE_IN_FLOATS:
        return number != 0 or not any(digit in "123456789" for digit in digits.lower().partition("e")[0])
    given = Decimal(digits)
    if SMALLEST <= given <= LARGEST and Decimal(number) != given:
        return False
    return Decimal(repr(number)) == given


class _Inexact(Exception):
    """The reason, without the name of the text."""


def _check_whole(digits: str) -> None:
    if len(digits) > _DIGITS_AT_MOST or not is_exact(int(digits)):
        raise _Inexact(f"has a whole number with more than 64 bits ({digits[:40]}): send it as a string")


def _check_float(digits: str) -> None:
    if not keeps(float(digits), digits):
        raise _Inexact(f"has a number that changes when it is read ({digits[:40]}): send it as a text")


def _unique(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _Inexact(f"has the key {key[:64]!r} twice in one object: send it once")
        seen.add(key)


def _nests_deeper(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    return levels == 0 or any(_nests_deeper(item, levels - 1) for item in value)


# These parsers get numbers and keys unchanged; their values are not used.
_NUMBERS = json.JSONDecoder(parse_int=_check_whole, parse_float=_check_float)
_NUMBERS_AND_KEYS = json.JSONDecoder(parse_int=_check_whole, parse_float=_check_float, object_pairs_hook=_unique)
_KEYS = json.JSONDecoder(parse_int=len, parse_float=len, object_pairs_hook=_unique, strict=False)
