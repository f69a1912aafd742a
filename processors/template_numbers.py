"""Checks that no number in a template becomes infinite, complex, or a different whole number, and that what computes
is given numbers.

`template_work.py` calls it for each operator and for the result of each filter.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

from jinja2 import Environment, pass_environment
from jinja2.filters import do_format, make_attrgetter

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


@pass_environment
def _exact_sum(environment: Environment, iterable: Iterable[Any], attribute: Any = None, start: Any = 0) -> Any:
    """Jinja's `sum`, with each addition checked as `+` is: one fraction among whole numbers makes a float of them."""
    items = iterable if attribute is None else map(make_attrgetter(environment, attribute), iterable)
    total = start
    for item in items:
        check_operands("+", total, item)
        total = total + item
    return total


def _exact_format(value: Any, *args: Any, **kwargs: Any) -> str:
    """Jinja's `format`, with whole numbers written as they are."""
    return do_format(value, *formatted_exactly(args), **formatted_exactly(kwargs))


# The filters that replace Jinja's.
EXACT: Mapping[str, Callable[..., Any]] = {"sum": _exact_sum, "format": _exact_format}


class _Whole(int):
    """A whole number that no format may turn into a float, as `%.2f` does with every number."""

    def __float__(self) -> float:
        check_whole(int(self))
        return float(int(self))


def formatted_exactly(value: Any) -> Any:
    """The value for a format: a whole number in it is written as it is, or raises NumberLost."""
    match value:
        case int() if not isinstance(value, bool):
            return _Whole(value)
        case tuple() | list():
            return type(value)(map(formatted_exactly, value)) if type(value) in (tuple, list) else value
        case Mapping():
            return {key: formatted_exactly(item) for key, item in value.items()}
    return value


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
