"""Checks that no number in a template becomes infinite, complex, or a different whole number, and that what computes
is given numbers.

`template_work.py` calls it for each operator and for the result of each filter.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from nightdesk.processors.json_text import WHOLE_IN_FLOATS, keeps


class NumberLost(ValueError):
    """The result cannot be sent as a number, or is a different number."""


def check_result(value: Any) -> None:
    """Raise NumberLost for an infinity, NaN, or a complex number."""
    if isinstance(value, complex) or (isinstance(value, float) and not isfinite(value)):
        raise NumberLost(f"the result is {value}, which is no number that can be sent")


def check_operands(operator: str, left: Any, right: Any) -> None:
    """Raise NumberLost if the operator would replace a whole number by the nearest float."""
    if isinstance(left, float):
        check_whole(right)
    elif isinstance(right, float):
        check_whole(left)
    elif operator == "/" and isinstance(left, int) and isinstance(right, int) and right:
        _check_quotient(left, right)


def _check_quotient(left: int, right: int) -> None:
    if abs(left // right) >= WHOLE_IN_FLOATS and int(left / right) * right != left:
        raise NumberLost("the quotient is a number that a float does not hold: use // for whole numbers")


def check_whole(number: Any) -> None:
    """Raise NumberLost for a whole number that a float does not hold."""
    if isinstance(number, int) and int(float(number)) != number:
        raise NumberLost(f"{str(number)[:40]} is a whole number that a float does not hold")


def check_read(text: Any) -> None:
    """Raise NumberLost for a text whose number a float does not hold."""
    check_whole(text)
    if not isinstance(text, str):
        return
    try:
        number = float(text)
    except ValueError:
        return  # the filter has its default for it
    if isfinite(number) and not keeps(number, text):
        raise NumberLost(f"{text[:40]!r} is a number that a float does not hold")


def check_is_number(value: Any) -> None:
    """Raise TypeError for a text or a collection. With them `%` formats and `*` repeats, without a bound:
    `'%999999999d' is even` and `'x'|round(9, 'ceil')` take a gigabyte.
    """
    if isinstance(value, Sequence | Mapping):
        raise TypeError(f"a {type(value).__name__} is no number")
