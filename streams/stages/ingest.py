"""Ingest: an event becomes a case for every agent whose charter takes it, or an audited reason why not.

`seen` remembers where and when an event was first read and what came of it, so that the same record again (a
redelivery, perhaps hours later) comes to the same and the same event at another place (a duplicate) to nothing.
`subject_rates` remembers which cases of a subject were let through.
"""

from datetime import datetime

import orjson
from pydantic import BaseModel, Field

from processors import rates, routing
from processors.charter.compiled import CompiledCharter
from processors.ledger.lines import asking
from processors.scopes import DataInvalid, Scope, event_scope
from schemas.records import Case, Event
from schemas.topics import BUDGET, INGEST
from streams.charters import Control
from streams.runtime.changes import Changes
from streams.runtime.delivery import Delivery
from streams.runtime.guard import Route
from streams.runtime.policy import Clock
from streams.runtime.stage import Commit
from streams.runtime.tables import FactTable
from streams.stages import audit, waiting
from streams.stages.facts import stored

SEEN_FOR_S = 7 * 86_400
EVENT_BYTES_AT_MOST = 1_000_000


class EventRefused(ValueError):
    """The event cannot be carried through the pipeline; it ends as a dead letter."""


class Arrival(BaseModel):
    """An event's first reading. `versions` are the charters that it concerned, by agent; `refused` the agents whose
    limit kept the case from beginning.
    """

    place: str
    at: datetime
    versions: dict[str, str] = Field(default_factory=dict)
    refused: tuple[str, ...] = ()


class Ingest:
    """Handlers of the ingest stage."""

    name = "ingest"
    table_names = ("seen", "subject_rates")

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self._seen: FactTable
        self._rates: FactTable

    def routes(self) -> tuple[Route, ...]:
        return (Route(INGEST, self.take, waiting.of_events(self._control)),)

    def bind(self, tables: dict[str, FactTable], commit: Commit) -> None:
        self._seen, self._rates = tables["seen"], tables["subject_rates"]

    def recovered(self) -> None:
        """Nothing is derived from the tables."""

    def tick(self, partition: int, changes: Changes) -> None:
        """Forget what is too old to matter."""
        now = self._clock().timestamp()
        for table in (self._seen, self._rates):
            for key in table.expired(partition, now):
                changes.forget(table, key.decode())

    async def close(self) -> None:
        """Nothing is held."""

    def take(self, delivery: Delivery[Event], changes: Changes) -> None:
        """One event."""
        event, now, trace = delivery.record, self._clock(), delivery.traceparent
        _check(event)
        key, place = f"{event.source}\x00{event.id}", f"{delivery.partition}:{delivery.offset}"
        known = self._seen.read(delivery.partition, key)
        if known is not None and _place(known) != place:
            reason = "an event with this source and id came before"
            changes.audit(audit.no_case(event, "duplicate", reason, place, trace, now))
            return
        earlier = _arrival(known)
        arrival, scope = earlier or Arrival(place=place, at=now), _scope(event)
        for compiled in self._concerned(earlier):
            self._offer(compiled, scope, delivery, changes, arrival)
        if not arrival.versions:
            reason = f"no charter takes {event.type}"
            changes.audit(audit.no_case(event, "ignored", reason, "", trace, arrival.at))
        if earlier is None:
            changes.put(self._seen, key, stored(arrival), now.timestamp() + SEEN_FOR_S)

    def _concerned(self, earlier: Arrival | None) -> tuple[CompiledCharter, ...]:
        """The promoted charters; for a record that comes again those of its first reading."""
        if earlier is None:
            return self._control.current()
        return tuple(self._control.charter(agent, version) for agent, version in earlier.versions.items())

    def _offer(
        self,
        compiled: CompiledCharter,
        scope: Scope | None,
        delivery: Delivery[Event],
        changes: Changes,
        arrival: Arrival,
    ) -> None:
        event, trace = delivery.record, delivery.traceparent
        match = routing.match(compiled, event, scope)
        if match.problems:
            reason = f"{compiled.agent}: " + "; ".join(match.problems)
            changes.audit(audit.no_case(event, "rejected", reason, compiled.agent, trace, arrival.at))
        elif match.routed is None:
            return
        else:
            case = routing.open_case(compiled, event, arrival.at)
            if compiled.agent not in arrival.versions:
                self._admit(compiled, case, delivery.partition, changes, arrival)
            if compiled.agent in arrival.refused:
                changes.audit(audit.refused(case, _too_many(compiled), trace, arrival.at))
            else:
                changes.emit(BUDGET, asking(case, arrival.at))
                changes.audit(audit.received(case, trace))
        arrival.versions[compiled.agent] = compiled.version

    def _admit(self, compiled: CompiledCharter, case: Case, partition: int, changes: Changes, arrival: Arrival) -> None:
        if not self._has_room(compiled, case, partition, changes, arrival.at):
            arrival.refused = (*arrival.refused, compiled.agent)

    def _has_room(self, compiled: CompiledCharter, case: Case, partition: int, changes: Changes, now: datetime) -> bool:
        rate = compiled.charter.limits.per_subject
        if rate is None:
            return True
        key = f"{case.agent}|{case.subject}"
        known = self._rates.read(partition, key)
        window = tuple(rates.Admission(*admission) for admission in orjson.loads(known)) if known else ()
        admitted = rates.admit(window, rate, case.case_id, now.timestamp())
        if admitted.ok and admitted.window is not window:
            changes.put(
                self._rates,
                key,
                orjson.dumps([tuple(admission) for admission in admitted.window]),
                now.timestamp() + rate.per_seconds,
            )
        return admitted.ok


def _place(known: bytes) -> str:
    """Where it was first read. Older programs remembered nothing else."""
    arrival = _arrival(known)
    return known.decode() if arrival is None else arrival.place


def _arrival(known: bytes | None) -> Arrival | None:
    return Arrival.model_validate_json(known) if known is not None and known.startswith(b"{") else None


def _check(event: Event) -> None:
    size = len(event.data.encode())
    if size > EVENT_BYTES_AT_MOST:
        raise EventRefused(f"data has {size} bytes: {EVENT_BYTES_AT_MOST} are the most an event may carry")
    for name in ("id", "source", "type", "subject"):
        if not getattr(event, name).strip():
            raise EventRefused(f"{name} is empty: every event needs id, source, type and subject")


def _scope(event: Event) -> Scope | None:
    try:
        return event_scope(event)
    except DataInvalid:
        return None  # routing says so for the charters that would have taken it


def _too_many(compiled: CompiledCharter) -> str:
    rate = compiled.charter.limits.per_subject
    return f"more than {rate.count} in {rate.per_seconds} s for this subject" if rate else ""
