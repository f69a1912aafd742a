"""The attributes and methods of values that templates may use, each method with its cost rule.

A rule has the parameters of its method, with the value first, and charges before the method runs. A method without a
rule cannot be reached: templates have no bytes (`encode`), no character tables (`translate`), and change no value.
"""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from jinja2.runtime import LoopContext, Macro
from jinja2.utils import Cycler, Namespace

from nightdesk.processors.sizes import CHARACTERS_PER_ELEMENT
from nightdesk.processors.template_charges import (
    WorkExceeded,
    charge,
    charge_join,
    charge_replacement,
    charge_search,
    check_width,
    deep,
    growth,
    lines,
)
from nightdesk.processors.template_filters import Rule, linear

_LINEAR = linear()


def _padded(owner: str, width: Any, fillchar: Any = " ") -> None:
    check_width(width)
    charge(deep(owner) * growth(owner))


def _expandtabs(owner: str, tabsize: Any = 8) -> None:
    check_width(tabsize)
    columns = tabsize if isinstance(tabsize, int) else 1
    charge(deep(owner) + owner.count("\t") * (1 + abs(columns) // CHARACTERS_PER_ELEMENT))


def _join(owner: str, iterable: Any) -> None:
    charge_join(iterable, owner, growth(owner))


def _replace(owner: str, old: Any, new: Any, count: Any = -1) -> None:
    if isinstance(old, str) and isinstance(new, str):
        charge_replacement(owner, old, new, growth(owner))


def _search(owner: str, part: Any, *limits: Any) -> None:
    charge(deep(owner))
    charge_search(owner, part)


def _search_backwards(owner: str, part: Any, *limits: Any) -> None:
    charge(deep(owner))
    charge_search(owner, part, backwards=True)


def _strip(owner: str, chars: Any = None) -> None:
    _search_backwards(owner, chars)


def _split(owner: str, sep: Any = None, maxsplit: Any = -1) -> None:
    _search_backwards(owner, sep)
    charge(1 + owner.count(sep) if isinstance(sep, str) else 1 + len(owner) // 2)


def _splitlines(owner: str, keepends: Any = False) -> None:
    charge(deep(owner) + lines(owner))


def _strftime(owner: Any, pattern: Any) -> None:
    # Each character of a pattern may need 256 characters of room.
    charge(deep(pattern) * 256)


def _all_linear(names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), _LINEAR)


_TEXT: Mapping[str, Rule] = {
    **_all_linear(
        "capitalize casefold endswith isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric"
        " isprintable isspace istitle isupper lower removeprefix removesuffix startswith swapcase title upper"
    ),
    "center": _padded,
    "count": _search,
    "expandtabs": _expandtabs,
    "find": _search,
    "index": _search,
    "join": _join,
    "ljust": _padded,
    "lstrip": _strip,
    "partition": _search,
    "replace": _replace,
    "rfind": _search_backwards,
    "rindex": _search_backwards,
    "rjust": _padded,
    "rpartition": _search_backwards,
    "rsplit": _split,
    "rstrip": _strip,
    "split": _split,
    "splitlines": _splitlines,
    "strip": _strip,
    "zfill": _padded,
}
_SEQUENCE = _all_linear("count index")
_DATE = {**_all_linear("date isocalendar isoformat isoweekday time timestamp toordinal weekday"), "strftime": _strftime}

# The first type that fits counts. `format` of a text is checked where Jinja's sandbox wraps it.
METHODS: Mapping[type, Mapping[str, Rule]] = {
    str: _TEXT,
    list: _SEQUENCE,
    tuple: _SEQUENCE,
    float: _all_linear("is_integer"),
    date: _DATE,
    time: _DATE,
    timedelta: _all_linear("total_seconds"),
    LoopContext: _all_linear("changed cycle"),
    Cycler: _all_linear("next reset"),
}


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


ATTRIBUTES: Mapping[type, frozenset[str]] = {
    tuple: _names("grouper list year week weekday"),  # of `groupby` and `isocalendar`
    datetime: _names("year month day hour minute second microsecond tzinfo"),
    date: _names("year month day"),
    time: _names("hour minute second microsecond"),
    timedelta: _names("days seconds microseconds"),
    LoopContext: _names("depth depth0 first index index0 last length nextitem previtem revindex revindex0"),
    Cycler: _names("current"),
    Macro: _names("arguments caller catch_kwargs catch_varargs name"),
}


def is_reachable(owner: Any, name: str) -> bool:
    """Whether templates may use this attribute or method. A namespace holds what the template itself stored."""
    return (
        isinstance(owner, Namespace)
        or _rule(owner, name) is not None
        or any(isinstance(owner, kind) and name in names for kind, names in ATTRIBUTES.items())
    )


def charge_method(method: Any, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    """Runs before a method of a value is called. Raises `WorkExceeded` if the method has no rule."""
    owner, name = method.__self__, method.__name__
    rule = _rule(owner, name)
    if rule is None:
        raise WorkExceeded(f"{name} of a {type(owner).__name__} is not available in templates")
    if isinstance(owner, LoopContext | Cycler):
        _LINEAR(*arguments, **named)
    else:
        rule(owner, *arguments, **named)


def _rule(owner: Any, name: str) -> Rule | None:
    return next((rules.get(name) for kind, rules in METHODS.items() if isinstance(owner, kind)), None)
