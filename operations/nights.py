"""Reports a night from the audit, and finds the period that is meant by a night."""

from __future__ import annotations

import os
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.installation import Installation
from nightdesk.operations.orders import read_control
from nightdesk.operations.times import in_range, moment
from nightdesk.processors.night_report import NightReport, night_report
from nightdesk.processors.quantities import parse_duration
from nightdesk.sinks.night import night_lines

MORNING = "08:00"


def report_night(installation: Installation, since: datetime, until: datetime) -> NightReport:
    """Summarise the events that were worked on between the two times. Raises `Failure`."""
    with clickhouse(installation.clickhouse) as client:
        return night_report(night_lines(client, since, until), since, until)


def time_zone(name: str) -> ZoneInfo:
    """The time zone of that name. Raises `Failure` for a name that is no time zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Failure(f"there is no time zone {name!r}", "Write Europe/Berlin or UTC", FailureKind.INVALID) from None


def default_time_zone(installation: Installation) -> ZoneInfo:
    """The time zone of the charters' budgets, if they all name the same one apart from UTC; otherwise that of this
    machine.
    """
    try:
        named = {compiled.charter.budget.time_zone for compiled in read_control(installation).current()} - {"UTC"}
    except Failure:  # the report needs no broker
        named = set()
    return ZoneInfo(named.pop()) if len(named) == 1 else machines_time_zone()


def machines_time_zone(localtime: Path = Path("/etc/localtime")) -> ZoneInfo:
    """The time zone of this machine, by the variable TZ or its configuration; UTC where it has none."""
    try:
        if name := os.environ.get("TZ", "").lstrip(":"):
            return ZoneInfo(name)
        _, _, name = str(localtime.resolve(strict=True)).rpartition("/zoneinfo/")
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def night_period(since: str, until: str | None, zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime]:
    """The start and the end of the last night that has begun, in UTC. The end is not after now.

    The texts are times of day in `zone`, dates with a time (in `zone` unless they name another), or how long ago.
    Without `until` it ends at 08:00, or now if `since` says how long ago it began. Raises `Failure`.
    """
    begin = _instant(since, zone, now)
    begin = _last(begin, zone, now) if isinstance(begin, time) else begin
    end = now if until is None and _is_duration(since) else _instant(MORNING if until is None else until, zone, now)
    end = min(_next(end, zone, begin), now) if isinstance(end, time) else end
    if end <= begin:
        raise Failure(
            f"the night ends at {end:%Y-%m-%d %H:%M} UTC, before it begins at {begin:%Y-%m-%d %H:%M} UTC",
            "Give --since and --until the other way round",
            FailureKind.INVALID,
        )
    return begin, end


def _is_duration(text: str) -> bool:
    try:
        parse_duration(text)
    except ValueError:
        return False
    return True


def _instant(text: str, zone: ZoneInfo, now: datetime) -> time | datetime:
    try:
        return time.fromisoformat(text)
    except ValueError:
        pass
    try:
        found = in_range(datetime.fromisoformat(text))
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except ValueError:
        pass
    ago = moment(text, now)
    if ago is None:
        raise Failure("no time is given", "Write 18:00, 2026-11-23T18:00, or 14h for 14 hours ago", FailureKind.INVALID)
    return ago


def _last(at: time, zone: ZoneInfo, now: datetime) -> datetime:
    """The last time before now with this time of day."""
    today = now.astimezone(zone).date()
    found = datetime.combine(today, at, zone).astimezone(UTC)
    return found if found <= now else datetime.combine(today - timedelta(days=1), at, zone).astimezone(UTC)


def _next(at: time, zone: ZoneInfo, after: datetime) -> datetime:
    """The first time after another with this time of day."""
    day = after.astimezone(zone).date()
    found = datetime.combine(day, at, zone).astimezone(UTC)
    return found if found > after else datetime.combine(day + timedelta(days=1), at, zone).astimezone(UTC)
