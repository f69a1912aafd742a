"""Ingest: an event becomes a case for every agent whose charter takes it, or an audited reason why not.

`seen` remembers where an event was first read, so that the same record again (a redelivery) is done again and the same
event at another place (a duplicate) is not. `subject_rates` remembers which cases of a subject were let through.
"""

from datetime import datetime

import orjson

from processors import rates, routing
from processors.charter.compiled import CompiledCharter
from processors.scopes import DataInvalid, Scope, event_scope
from schemas import ids
from schemas.records import BudgetEntry, Case, Event
from schemas.topics import BUDGET, INGEST
from streams.charters import Control
from streams.runtime.changes import Changes
from streams.runtime.delivery import Delivery
from streams.runtime.guard import Route
from streams.runtime.policy import Clock
from streams.runtime.stage import Commit
from streams.runtime.tables import FactTable
from streams.stages import audit

SEEN_FOR_S = 7 * 86_400
EVENT_BYTES_AT_MOST = 1_000_000


class EventRefused(ValueError):
    """The event cannot be carried through the pipeline; it ends as a dead letter."""


class Ingest:
    """Handlers of the ingest stage."""

    name = "ingest"
    converses = False
    table_names = ("seen", "subject_rates")

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self._seen: FactTable
        self._rates: FactTable

    def routes(self) -> tuple[Route, ...]:
        return (Route(INGEST, self.take),)

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
        event, now = delivery.record, self._clock()
        _check(event)
        if self._came_before(delivery, changes, now):
            reason = "an event with this source and id came before"
            place = f"{delivery.partition}:{delivery.offset}"
            changes.audit(audit.no_case(event, "duplicate", reason, place, delivery.traceparent, now))
            return
        scope, taken = _scope(event), False
        for compiled in self._control.current():
            taken |= self._offer(compiled, scope, delivery, changes, now)
        if not taken:
            reason = f"no charter takes {event.type}"
            changes.audit(audit.no_case(event, "ignored", reason, "", delivery.traceparent, now))

    def _came_before(self, delivery: Delivery[Event], changes: Changes, now: datetime) -> bool:
        key = f"{delivery.record.source}\x00{delivery.record.id}"
        place = f"{delivery.partition}:{delivery.offset}".encode()
        first = self._seen.read(delivery.partition, key)
        if first is None:
            changes.put(self._seen, key, place, now.timestamp() + SEEN_FOR_S)
        return first not in (None, place)

    def _offer(
        self, compiled: CompiledCharter, scope: Scope | None, delivery: Delivery[Event], changes: Changes, now: datetime
    ) -> bool:
        event = delivery.record
        match = routing.match(compiled, event, scope)
        if match.problems:
            reason = f"{compiled.agent}: " + "; ".join(match.problems)
            changes.audit(audit.no_case(event, "rejected", reason, compiled.agent, delivery.traceparent, now))
            return True
        if match.routed is None:
            return False
        case = routing.open_case(compiled, event, now)
        if not self._has_room(compiled, case, delivery.partition, changes, now):
            changes.audit(audit.refused(case, _too_many(compiled), delivery.traceparent, now))
            return True
        changes.emit(BUDGET, _ask_for_money(case, now))
        changes.audit(audit.received(case, delivery.traceparent))
        return True

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


def _ask_for_money(case: Case, now: datetime) -> BudgetEntry:
    return BudgetEntry(
        entry_id=ids.entry_id(case.case_id, "reserve"),
        kind="reserve",
        agent=case.agent,
        case_id=case.case_id,
        amount_microusd=0,
        time=now,
        case=case,
    )
