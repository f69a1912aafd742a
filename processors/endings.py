"""Derives from audit records how cases and events have ended so far, or what they wait for. Pure.

The views `cases` and `ends` define the same in SQL, and a test compares the two. `dead_letter` has a
name of its own here; the views call it `failed`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from nightdesk.schemas.audit import EventDetail, ParkedDetail
from nightdesk.schemas.audit_kinds import read
from nightdesk.schemas.records import DeadLetter, DeadLetterEnd

# The kinds of records by their place in the life of a step. Of two records the one with the later place counts, and of
# two with the same place the one with the later time. A person may be asked after a wait for an order, and the reverse,
# so these share a place, also with an action that failed: its dead letter may be replayed, and then it may wait again.
LIFECYCLE = {
    "received": 0,
    "deferred": 1,
    "refused": 2,
    "parked decide": 3,
    "decided": 4,
    "parked act": 5,
    "approval": 6,
    "queued": 6,
    "acted": 7,
}
# If an event has several cases, the one that most needs attention says how the event ended: the lowest number.
# `ignored` and the like come last, because a duplicate says nothing about the event that was handled.
ATTENTION = {
    "running": 1,
    "needs_approval": 2,
    "deferred": 3,
    "waiting": 4,
    "failed": 5,
    "dead_letter": 5,
    "rejected": 6,
    "refused": 6,
    "escalated": 7,
    "completed": 8,
    "dry_run": 9,
    "ignored": 10,
    "received": 11,
    "parked": 12,
    "replayed": 13,
}
# The names of the last three for an event without any case.
STATUS_OF = {"received": "running", "parked": "waiting", "replayed": "running"}
LONG_AGO = datetime.min.replace(tzinfo=UTC)
WAITING = frozenset({"deferred", "waiting", "needs_approval"})
# Kinds whose detail is read here and in `night_report.py`; that of the others need not be fetched.
KINDS_WITH_DETAIL = ("decided", "control", "parked", "dead_letter", "replayed", "refused", "notified")


class AuditLine(NamedTuple):
    """The fields of an audit record that a summary needs, under the same names."""

    kind: str
    time: datetime
    subject: str
    event_source: str
    event_id: str
    case_id: str | None
    agent: str | None
    step: int
    status: str
    reason: str
    cost_microusd: int
    detail: str

    @property
    def lifecycle(self) -> int:
        """The place of the record's kind in the life of a step; -1 for a record that is no part of it."""
        kind = self.kind
        if kind == "parked":
            parked = read(ParkedDetail, self.detail)
            kind = f"parked {parked.topic}" if parked else kind
        if kind == "refused" and read(EventDetail, self.detail) is not None:
            return -1  # the limit of its subject refused it, and its event may have been offered again since
        if kind == "acted" and self.status == "failed":
            return LIFECYCLE["queued"]
        return LIFECYCLE.get(kind, -1)


class EventKey(NamedTuple):
    """The attributes that identify an event."""

    subject: str
    source: str
    id: str


class WaitPeriod(NamedTuple):
    """A period in which a case waited. `ended_at` is None if it still waits."""

    event: EventKey
    status: str
    reason: str
    began_at: datetime
    ended_at: datetime | None = None

    def length(self, until: datetime) -> timedelta:
        return (self.ended_at or until) - self.began_at


class Ending(NamedTuple):
    """How an event ended, and why, as the record says that ended it; empty if it gives no reason."""

    status: str
    reason: str = ""


@dataclass(slots=True)
class CaseEnding:
    """One case. Add its records in the order of their times."""

    event: EventKey
    status: str = "running"
    reason: str = ""
    agent: str | None = None
    waits: list[WaitPeriod] = field(default_factory=list)
    last_at: datetime = LONG_AGO
    _furthest: tuple[int, int, datetime] | None = None
    _dead_since: datetime | None = None
    _dead_because: str = ""

    @property
    def ended(self) -> str:
        """Its status, unless a dead letter is open."""
        return "dead_letter" if self._dead_since is not None else self.status

    @property
    def because(self) -> str:
        """The reason of the record that gave it this status."""
        return self._dead_because if self._dead_since is not None else self.reason

    def add(self, line: AuditLine) -> None:
        self.agent = line.agent or self.agent
        self.last_at = max(self.last_at, line.time)
        if line.kind == "dead_letter":
            self._dead_since, self._dead_because = line.time, line.reason
        elif line.kind in ("acted", "replayed") and self._dead_since is not None and line.time > self._dead_since:
            self._dead_since = None
        place = (line.step, line.lifecycle, line.time)
        if line.kind != "dead_letter" and (self._furthest is None or place >= self._furthest):
            self._furthest, self.status, self.reason = place, line.status, line.reason
        if line.lifecycle >= 0 or line.kind == "dead_letter":
            self._follow_wait(line)

    def _follow_wait(self, line: AuditLine) -> None:
        """The next record ends a wait, unless it belongs to the same wait. An action of kind `wait` is intended, so it
        is no delay.
        """
        waits = line.status in WAITING and line.kind != "acted"
        open_wait = self.waits[-1] if self.waits and self.waits[-1].ended_at is None else None
        if open_wait is not None and waits and open_wait.status == line.status:
            return
        if open_wait is not None:
            self.waits[-1] = open_wait._replace(ended_at=line.time)
        if waits:
            self.waits.append(WaitPeriod(self.event, line.status, line.reason, line.time))


@dataclass(slots=True)
class EventEnding:
    """One event, from those of its records that name no case: the last of each kind."""

    kinds: dict[str, AuditLine] = field(default_factory=dict)
    is_dead: bool = False
    rejected_by: dict[str | None, AuditLine] = field(default_factory=dict)

    def add(self, line: AuditLine) -> None:
        line = line._replace(detail="")
        if line.kind == "rejected":
            self.rejected_by[line.agent] = line
        else:
            self.kinds[line.kind] = line
        if line.kind in ("dead_letter", "replayed"):
            self.is_dead = line.kind == "dead_letter"

    def ended(self, cases: Iterable[CaseEnding]) -> Ending:
        """How the event ended, given its cases. An agent that rejected the event may have taken it when it was offered
        again, or have refused it: of what needs as much attention the later counts.
        """
        made = list(cases)
        took = {case.agent for case in made if case.ended != "refused"}
        found = [(case.ended, case.last_at, case.because) for case in made]
        known = [line for kind, line in self.kinds.items() if kind != "dead_letter" or self.is_dead]
        known += [line for agent, line in self.rejected_by.items() if agent not in took]
        found += [(line.kind, line.time, line.reason) for line in known]
        ended, _, reason = min(found, key=lambda one: (attention(one[0]), -one[1].timestamp()))
        return Ending(STATUS_OF.get(ended, ended), reason)


def attention(status: str) -> int:
    """The order in which people should look at it: the lowest number first."""
    return ATTENTION.get(status, 0)


def event_of(line: AuditLine) -> EventKey | None:
    """The event of a record that names no case; None if it is about none. An event that could not be read has no id:
    its dead letter represents it.
    """
    if line.kind not in ATTENTION and line.kind != "ignored":
        return None
    if line.event_id:
        return EventKey(line.subject, line.event_source, line.event_id)
    if line.kind == "dead_letter":
        letter = read(DeadLetter, line.detail)
        is_event = letter is not None and letter.topic == "ingest"
        return EventKey(line.subject, "", letter.dead_letter_id) if letter and is_event else None
    if line.kind == "replayed":
        end = read(DeadLetterEnd, line.detail)
        return EventKey(line.subject, "", end.dead_letter_id) if end else None
    return None
