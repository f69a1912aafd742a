"""Plays a night and sums it up, as `nightdesk night` does with a real one."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from nightdesk.processors.endings import AuditLine, EventKey
from nightdesk.processors.night_report import NightReport, night_report
from nightdesk.schemas.records import AuditRecord, Event
from tests.nights.expected import compared, differences
from tests.nights.night import Night
from tests.nights.world import Desk


@dataclass(frozen=True, slots=True)
class Played:
    """A night that was played to its morning, and its table."""

    desk: Desk
    report: NightReport


def play(night: Night, seed: int = 1) -> Played:
    """From its evening to its morning."""
    desk = Desk(night, seed)
    with _quiet():
        desk.run(night.until)
    return Played(desk, report_of(desk, night.until))


def go_on(desk: Desk, until: datetime) -> NightReport:
    """Let it go on after the morning; the table of the whole time."""
    with _quiet():
        desk.run(until)
    return report_of(desk, until)


def report_of(desk: Desk, until: datetime) -> NightReport:
    """The table of everything up to then."""
    return _report(desk, until, desk.audits.values(), desk.events)


def report_of_group(desk: Desk, until: datetime, group: int) -> NightReport:
    """The table of one of the night's groups of arrivals."""
    about = f"ticket-{group}-"
    records = (record for record in desk.audits.values() if record.subject.startswith(about))
    return _report(desk, until, records, [event for event in desk.events if event.subject.startswith(about)])


def _report(desk: Desk, until: datetime, records: Iterable[AuditRecord], events: Iterable[Event]) -> NightReport:
    lines = sorted((line_of(record) for record in records if record.time < until), key=lambda line: line.time)
    produced = frozenset(EventKey(event.subject, event.source, event.id) for event in events if event.time < until)
    return night_report(lines, desk.night.since, until, produced)


def unexpected(played: Played) -> list[str]:
    """How the night differs from the table that its file expects."""
    night, desk = played.desk.night, played.desk
    found = [] if night.expected is None else list(differences(night.expected, played.report, desk.audits.values()))
    for number, arrivals in enumerate(night.arrivals):
        if arrivals.ended:
            ended = report_of_group(desk, night.until, number).ended
            found += compared(f"arrivals {number + 1} ended", ended, arrivals.ended)
    return found


def line_of(record: AuditRecord) -> AuditLine:
    return AuditLine(*(getattr(record, name) for name in AuditLine._fields))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without logs: circuits that open are no news here."""
    logged = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logged)
