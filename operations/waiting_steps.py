"""Reads the steps that wait before they are decided: cases over their subject's limit in ingest, and steps in the
admission queues of the budget stage. They are counted by agent and gate, or listed for one case.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel

from nightdesk.messaging.topic_reader import read_table
from nightdesk.operations.installation import Installation
from nightdesk.processors.admission.gates import GATES
from nightdesk.sinks.story import WaitingStepStory
from nightdesk.streams.stages.budget import Budget
from nightdesk.streams.stages.ingest import Ingest

PER_SUBJECT = "per_subject"
WAITS_FOR: Mapping[str, str] = {
    PER_SUBJECT: "its turn among the cases of its subject",
    **{str(name): gate.waits_for for name, gate in GATES.items()},
}


class _Event(BaseModel):
    id: str
    subject: str


class _Case(BaseModel):
    agent: str
    event: _Event
    case_id: str
    step: int
    received_at: datetime

    @property
    def ids(self) -> frozenset[str]:
        """The ids by which a person may ask for it."""
        return frozenset((self.event.subject, self.event.id, self.case_id))


class _Row(BaseModel):
    """The shown fields of a row of either table; a row of ingest has no `since` and no gate. Times are epoch
    seconds.
    """

    case: _Case
    until: float
    since: float | None = None
    gate: str = PER_SUBJECT
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WaitingGroup:
    """The steps of one agent that wait for one gate. The other fields are those of the step that has waited longest.
    After `until` a person gets it; pauses of its agent move that time.
    """

    agent: str
    gate: str
    steps: int
    since: datetime
    until: datetime
    subject: str
    case_id: str
    reason: str

    @property
    def waits_for(self) -> str:
        """Text for people: what the steps wait for."""
        return _waits_for(self.gate)

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        steps = "1 step of {} waits" if self.steps == 1 else f"{self.steps} steps of {{}} wait"
        return (
            f"{steps.format(self.agent)} for {self.waits_for}, {self.subject} since"
            f" {self.since:%Y-%m-%d %H:%M:%S} UTC, {at_most_until(self.gate, self.until)}{why}"
        )


def at_most_until(gate: str, until: datetime) -> str:
    """Text for people: when a person gets what waits. While an order stops the agent, that time moves on."""
    if gate == "paused":
        return "for as long as the order stands"
    return f"at most until {until:%Y-%m-%d %H:%M:%S} UTC"


def waiting_steps(installation: Installation) -> list[WaitingGroup]:
    """All waiting steps by agent and gate, the longest wait first. Raises `Failure`."""
    return grouped(_rows(installation))


def waits_of(installation: Installation, ids: Collection[str]) -> list[WaitingStepStory]:
    """The waiting steps of these subjects, events and cases. Raises `Failure`."""
    return listed(_rows(installation), ids)


def listed(rows: Iterable[bytes], ids: Collection[str]) -> list[WaitingStepStory]:
    """The rows of both tables about one of these subjects, events and cases, the longest wait first."""
    found = (row for row in map(_Row.model_validate_json, rows) if not row.case.ids.isdisjoint(ids))
    return sorted(map(_wait, found), key=lambda wait: (wait.since, wait.case_id))


def grouped(rows: Iterable[bytes]) -> list[WaitingGroup]:
    """The rows of both tables by agent and gate, the longest wait first."""
    found: dict[tuple[str, str], list[_Row]] = {}
    for row in map(_Row.model_validate_json, rows):
        found.setdefault((row.case.agent, row.gate), []).append(row)
    return sorted(_groups(found.values()), key=lambda group: (group.since, group.agent, group.gate))


def _groups(found: Iterable[list[_Row]]) -> Iterator[WaitingGroup]:
    for rows in found:
        first = min(rows, key=_since)
        yield WaitingGroup(
            agent=first.case.agent,
            gate=first.gate,
            steps=len(rows),
            since=_since(first),
            until=datetime.fromtimestamp(first.until, UTC),
            subject=first.case.event.subject,
            case_id=first.case.case_id,
            reason=first.reason,
        )


def _rows(installation: Installation) -> Iterator[bytes]:
    for stage in (Ingest, Budget):
        yield from read_table(installation.kafka, stage.name, "waiting").values()


def _wait(row: _Row) -> WaitingStepStory:
    return WaitingStepStory(
        case_id=row.case.case_id,
        step=row.case.step,
        agent=row.case.agent,
        subject=row.case.event.subject,
        gate=row.gate,
        waits_for=_waits_for(row.gate),
        since=_since(row),
        until=datetime.fromtimestamp(row.until, UTC),
        reason=row.reason,
    )


def _waits_for(gate: str) -> str:
    return WAITS_FOR.get(gate, gate)


def _since(row: _Row) -> datetime:
    return row.case.received_at if row.since is None else datetime.fromtimestamp(row.since, UTC)
