"""Formats values for a page. Pure.

Every text passes through `schemas.foreign_text` where a template writes it, as on the command line: a ticket can
neither hide characters in what an approver reads, nor reverse the direction of the text.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup, escape
from pydantic_core import to_json

from nightdesk.schemas.foreign_text import visible
from nightdesk.schemas.money import money
from nightdesk.schemas.persons import shown_person

ID_CHARACTERS = 8


def shown(value: Any) -> Any:
    """What a template's expression writes: nothing for None, texts with hidden characters as escapes."""
    if value is None:
        return ""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def lines(text: str) -> Markup:
    """A text of several lines, for an element that keeps them."""
    return Markup("\n").join(escape(visible(line)) for line in text.split("\n"))


def pretty(value: Any) -> Markup:
    """A value as JSON of several lines."""
    return lines(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def compact(value: Any) -> str:
    """A value as JSON on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def chart(value: Any) -> str:
    """A value as JSON for a script of ours, in ASCII."""
    return to_json(value).decode()


def time(at: datetime | None, how: str = "%Y-%m-%d %H:%M:%S") -> Markup:
    """A moment in UTC, as an element that a script can show in the person's time zone."""
    if at is None:
        return Markup("")
    return Markup('<time datetime="{}" title="UTC">{}</time>').format(at.isoformat(), at.strftime(how))


def clock(at: datetime | None) -> Markup:
    """Month, day and time of day in UTC."""
    return time(at, "%m-%d %H:%M:%S")


def short(id_: str | None) -> str:
    """The beginning of an id, enough to tell it from others on a page."""
    return (id_ or "")[:ID_CHARACTERS]


def duration(length: timedelta | float) -> str:
    """A length of time in its two largest units."""
    seconds = round(length.total_seconds() if isinstance(length, timedelta) else length)
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    for unit, size, smaller, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            rest = f" {seconds % size // part} {smaller}" if seconds % size // part else ""
            return f"{sign}{seconds // size} {unit}{rest}"
    return f"{sign}{seconds} s"


def dollars(microusd: int) -> str:
    """Money for a table: to the cent, or with all digits if it is less than a cent."""
    return money(microusd) if 0 < abs(microusd) < 10_000 else f"${microusd / 1_000_000:,.2f}"


def percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


FILTERS = {
    "chart": chart,
    "clock": clock,
    "compact": compact,
    "dollars": dollars,
    "duration": duration,
    "lines": lines,
    "money": money,
    "percent": percent,
    "person": shown_person,
    "pretty": pretty,
    "short": short,
    "time": time,
}
