"""The work of one rendering: how it is counted, and what an operation costs for operands of a given size.

The rules for filters (`template_filters.py`), tests (`template_tests.py`) and methods (`template_methods.py`) charge
here before the work is done.
A unit is about half a microsecond; `MAX_WORK` is about a quarter of a second.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextvars import ContextVar
from string import Formatter
from typing import Any

from markupsafe import Markup

from nightdesk.processors.sizes import CHARACTERS_PER_ELEMENT, MAX_SIZE, size_of

MAX_WORK = 500_000
# Widths, precisions, repetitions of lines: no text for people needs more.
MAX_WIDTH = 10_000
MAX_INTEGER_BITS = 4_096
# A text that is marked as HTML escapes what it is joined with: one character may become five.
ESCAPED = 6
# Reading one field of a format.
_FIELD = 6
# How many comparisons of two characters one unit pays for.
_COMPARED = 256
# From this length on Python looks for a text in linear time.
_LINEAR_FROM = 30_000
_LINE_ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_NUMBER = re.compile(r"\d+")
# Width and precision, directly after the sign or the name in brackets.
_PERCENT = re.compile(r"(?:^|\))[#0\- +]*(\*|\d*)(?:\.(\*|\d*))?")


class WorkExceeded(ValueError):
    """The template needs more work, or a larger value, than a rendering may have."""


class Work:
    """The work of one rendering."""

    def __init__(self) -> None:
        self.done = 0

    def charge(self, units: int) -> None:
        """Call this before doing the work. Raises `WorkExceeded`."""
        self.done += units
        if self.done > MAX_WORK:
            raise WorkExceeded(
                f"takes more work than the {MAX_WORK:,} steps allowed for a template: the data has too many or too"
                " large elements for it"
            )


_current: ContextVar[Work] = ContextVar("work of the rendering")


def counted(render: Callable[..., Any], *args: Any) -> tuple[Any, Work]:
    """The result of `render` and the work it took. Raises `WorkExceeded` and whatever `render` raises."""
    work = Work()
    token = _current.set(work)
    try:
        value = render(*args)
        charge(deep(value))
        return value, work
    finally:
        _current.reset(token)


def charge(units: int) -> None:
    """Add to the work of the rendering that is under way. Raises WorkExceeded."""
    _current.get().charge(units)


def flat(value: Any) -> int:
    """The cost of copying the value: its own length, not that of its elements."""
    if isinstance(value, str):
        return 1 + len(value) // CHARACTERS_PER_ELEMENT
    return 1 + len(value) if isinstance(value, Sequence | Mapping) else 1


def deep(value: Any) -> int:
    """The cost of comparing the value or converting it to a string. Measuring is work, too, and stops at the bound."""
    size = 1 + len(value) if isinstance(value, range) else size_of(value)
    if size > MAX_SIZE:
        raise WorkExceeded(f"a value has more than {MAX_SIZE:,} elements")
    return size


def length(value: Any) -> int:
    """How many elements an iteration over the value has; in a text each character is one."""
    return len(value) if isinstance(value, Sized) else 1


# Of most values the type says all, and asking an abstract class takes longer than many a filter.
_NO_ITERATORS = frozenset({str, int, float, bool, list, dict, tuple, type(None)})


def as_list(value: Any) -> Any:
    """An iterator or a range as a list whose elements are charged; any other value unchanged."""
    if type(value) in _NO_ITERATORS or not isinstance(value, Iterator | range):
        return value
    found = []
    for item in value:
        charge(1)
        found.append(item)
    return found


def growth(value: Any) -> int:
    """How much longer a text may become when it is joined with the value."""
    return ESCAPED if isinstance(value, Markup) else 1


def lines(text: str) -> int:
    """How many lines a text has at most."""
    return 1 + sum(map(text.count, _LINE_ENDS))


def charge_search(text: Any, part: Any, *, backwards: bool = False) -> None:
    """Charges the worst case of searching a text for a part, or for each character of the part."""
    if isinstance(text, str) and isinstance(part, str):
        looked_at = len(text) if backwards else min(len(text), _LINEAR_FROM)
        charge(flat(text) + looked_at * len(part) // _COMPARED)


def charge_replacement(text: str, old: str, new: str, weight: int = 1) -> None:
    """Charges replacing each `old` in a text."""
    charge_search(text, old)
    found = text.count(old) if old else len(text) + 1
    charge((flat(text) + found * (1 + len(new) // CHARACTERS_PER_ELEMENT)) * weight)


def charge_join(items: Any, separator: str, weight: int = 1) -> None:
    """Charges joining the elements to one text."""
    count = length(items)
    charge((deep(items) + count + count * len(separator) // CHARACTERS_PER_ELEMENT) * weight)


def check_width(width: Any, at_most: int = MAX_WIDTH) -> None:
    """Checks a width or a count and charges the padding. Raises `WorkExceeded`."""
    if isinstance(width, int):
        if abs(width) > at_most:
            raise WorkExceeded(f"{width} is more than {at_most}, the limit of a width or a count")
        charge(1 + abs(width) // CHARACTERS_PER_ELEMENT)


def _check_format(spec: str) -> None:
    """Checks one field of a format."""
    widths = [int(number) for number in _NUMBER.findall(spec)] if len(spec) <= MAX_WIDTH else [len(spec)]
    if max(widths, default=0) > MAX_WIDTH:
        raise WorkExceeded(f"a format is wider than {MAX_WIDTH}")
    charge(1 + sum(widths) // CHARACTERS_PER_ELEMENT)


def check_percent(text: str, values: Any) -> None:
    """Checks `'%9d' % value`: no width beyond the bound, and none from the data."""
    charge(_FIELD * text.count("%"))
    for part in text.split("%")[1:]:
        for width, precision in _PERCENT.findall(part):
            if "*" in (width, precision):
                raise WorkExceeded("a format takes its width from a value: write the width as a number")
            _check_format(width + " " + precision)
    charge((flat(text) + (1 + text.count("%")) * deep(values)) * growth(text))


def check_braces(text: str, positional: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Checks `'{:9}'.format(value)`."""
    charge(_FIELD * text.count("{"))
    for _, _, spec, _ in Formatter().parse(text):
        if spec and "{" in spec:
            raise WorkExceeded("a format takes its width from a value: write the width as a number")
        _check_format(spec or "")
    fields = 1 + text.count("{")
    charge((flat(text) + fields * (deep(list(positional)) + deep(named))) * growth(text))


def check_product(left: Any, right: Any) -> None:
    """Checks `left * right`."""
    for sequence, times in ((left, right), (right, left)):
        if isinstance(sequence, Sequence) and isinstance(times, int):
            charge(flat(sequence) * max(times, 0))
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > MAX_INTEGER_BITS:
        raise WorkExceeded(f"a number has more than {MAX_INTEGER_BITS} bits")


def check_power(left: Any, right: Any) -> None:
    """Checks `left ** right`."""
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > MAX_INTEGER_BITS:
        raise WorkExceeded(f"a number has more than {MAX_INTEGER_BITS} bits")
