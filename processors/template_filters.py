"""The filters that templates may use, each with its cost rule.

A rule has the parameters of its filter and charges before the filter runs. A filter without a rule is not available, so
a new version of Jinja adds none by itself. `random` gives random results; `pprint` and `urlize` scan a text many times.
"""

from collections.abc import Callable, Mapping
from typing import Any

from nightdesk.processors.sizes import CHARACTERS_PER_ELEMENT
from nightdesk.processors.template_charges import (
    ESCAPED,
    charge,
    charge_join,
    charge_replacement,
    charge_search,
    check_percent,
    check_width,
    deep,
    growth,
    length,
    lines,
)
from nightdesk.processors.template_numbers import check_is_number, check_read, check_whole

Rule = Callable[..., None]
# Sorting compares each element about log2(n) times.
_SORTED = 20
_DIGITS_AT_MOST = 400


def linear(weight: int = 1) -> Rule:
    """Reads every argument once."""

    def rule(*given: Any, **named: Any) -> None:
        charge(weight * sum(map(deep, (*given, *named.values()))))

    return rule


def _once(*_given: Any, **_named: Any) -> None:
    charge(1)


def _batch(value: Any, linecount: Any, fill_with: Any = None) -> None:
    check_width(linecount)
    charge(2 * length(value) + (linecount if isinstance(linecount, int) else 1))


def _slice(value: Any, slices: Any, fill_with: Any = None) -> None:
    check_width(slices)
    charge(2 * length(value) + (slices if isinstance(slices, int) else 1))


def _elements(value: Any) -> None:
    charge(length(value))


def _words(s: Any) -> None:
    charge(5 * deep(s) + length(s) // 4)


def _center(value: Any, width: Any = 80) -> None:
    check_width(width)
    charge(deep(value))


def _attributes(value: Any, attribute: Any) -> None:
    """Charges the lookup of `a.b` or `a,b` in each element."""
    charge(length(value) * (1 + length(attribute) if isinstance(attribute, str) else 1))


def _sort(value: Any, reverse: Any = False, case_sensitive: Any = False, attribute: Any = None) -> None:
    keys = 1 + attribute.count(",") if isinstance(attribute, str) else 1
    _attributes(value, attribute)
    charge(deep(value) * _SORTED * keys)


def _dictsort(value: Any, case_sensitive: Any = False, by: Any = "key", reverse: Any = False) -> None:
    charge(deep(value) * _SORTED)


def _groupby(value: Any, attribute: Any, default: Any = None, case_sensitive: Any = False) -> None:
    _sort(value, attribute=attribute)
    charge(deep(default) * length(value))


def _extreme(value: Any, case_sensitive: Any = False, attribute: Any = None) -> None:
    _attributes(value, attribute)
    charge(5 * deep(value))


def _of_each(value: Any, *args: Any, **kwargs: Any) -> None:
    """The filter or test for each element is charged when it runs."""
    _attributes(value, None)
    charge(length(value) * sum(map(deep, (*args, *kwargs.values()))))


def _join(value: Any, d: Any = "", attribute: Any = None) -> None:
    charge(deep(d))
    _attributes(value, attribute)
    charge_join(value, str(d))


def _replace(s: Any, old: Any, new: Any, count: Any = None) -> None:
    charge(deep(s) + deep(old) + deep(new))
    charge_replacement(str(s), str(old), str(new))


def _trim(value: Any, chars: Any = None) -> None:
    charge(deep(value))
    charge_search(str(value), chars, backwards=True)


def _format(value: Any, *args: Any, **kwargs: Any) -> None:
    charge(deep(value))
    check_percent(str(value), kwargs or args)
    charge(deep(args) * growth(value))


def _indent(s: Any, width: Any = 4, first: Any = False, blank: Any = False) -> None:
    charge(deep(s))
    check_width(width)
    added = len(width) if isinstance(width, str) else width if isinstance(width, int) else 1
    charge(lines(str(s)) * (2 + max(added, 0) // CHARACTERS_PER_ELEMENT) * growth(s))


def _wordwrap(
    s: Any, width: Any = 79, break_long_words: Any = True, wrapstring: Any = None, break_on_hyphens: Any = True
) -> None:
    charge(20 * deep(s))
    check_width(width)
    text, columns = str(s), max(width, 1) if isinstance(width, int) else 1
    pieces = min(len(text), 2 * len(text) // columns) + lines(text)
    longest = max(map(len, text.split()), default=0)
    # The rest of a word that is too long is copied once for each piece.
    charge(20 * pieces + longest // columns * longest // 10_000)
    charge(pieces * deep(wrapstring))


def _striptags(value: Any) -> None:
    size = deep(value)
    charge(size)
    charge(str(value).count("<") * size)


def _sum(iterable: Any, attribute: Any = None, start: Any = 0) -> None:
    _attributes(iterable, attribute)
    # A sum of lists is copied once for each element.
    charge(deep(iterable) if isinstance(start, int | float) else length(iterable) * (deep(start) + deep(iterable)))


def _tojson(value: Any, indent: Any = None) -> None:
    check_width(indent)
    added = len(indent) if isinstance(indent, str) else indent if isinstance(indent, int) else 0
    charge(deep(value) * (5 + 4 * max(added, 0)))


def _truncate(s: Any, length: Any = 255, killwords: Any = False, end: Any = "...", leeway: Any = None) -> None:
    charge(2 * deep(s) + deep(end))


def _round(value: Any, precision: Any = 0, method: Any = "common") -> None:
    check_is_number(value)
    check_width(precision, _DIGITS_AT_MOST)
    if method != "common":
        check_whole(value)


def _float(value: Any, default: Any = 0.0) -> None:
    charge(deep(value))
    check_read(value)


def _int(value: Any, default: Any = 0, base: Any = 10) -> None:
    charge(deep(value))
    if isinstance(value, str) and not value.strip().lstrip("+-").replace("_", "").isdecimal() and base == 10:
        check_read(value)


FILTERS: Mapping[str, Rule] = {
    "abs": _once,
    "attr": linear(4),
    "batch": _batch,
    "capitalize": linear(),
    "center": _center,
    "count": _once,
    "d": _once,
    "default": _once,
    "dictsort": _dictsort,
    "e": linear(ESCAPED),
    "escape": linear(ESCAPED),
    "filesizeformat": linear(),
    "first": _once,
    "float": _float,
    "forceescape": linear(ESCAPED),
    "format": _format,
    "groupby": _groupby,
    "indent": _indent,
    "int": _int,
    "items": _elements,
    "join": _join,
    "last": _once,
    "length": _once,
    "list": _elements,
    "lower": linear(),
    "map": _of_each,
    "max": _extreme,
    "min": _extreme,
    "reject": _of_each,
    "rejectattr": _of_each,
    "replace": _replace,
    "reverse": _elements,
    "round": _round,
    "safe": linear(),
    "select": _of_each,
    "selectattr": _of_each,
    "slice": _slice,
    "sort": _sort,
    "string": linear(),
    "striptags": _striptags,
    "sum": _sum,
    "title": _words,
    "tojson": _tojson,
    "trim": _trim,
    "truncate": _truncate,
    "unique": _extreme,
    "upper": linear(),
    "urlencode": linear(2 * ESCAPED),
    "wordcount": _words,
    "wordwrap": _wordwrap,
    "xmlattr": linear(ESCAPED),
}
