"""Finds what a record has to wait for: a charter that is on its way, or a dead letter in front of it.

The routes of the stages use these functions.

A case or a decision is parked behind letters of its own agent and subject, if the charter that it started with parks.
An event does not belong to an agent yet, so it is parked by its subject, if any charter in force that accepts its type
parks. A record that cannot be decoded might be of any type.
"""

from nightdesk.schemas.ids import composite_key
from nightdesk.schemas.records import Case, Decision, Event, Record
from nightdesk.streams.api import AsyncHandler, QueueOf, WaitsFor
from nightdesk.streams.control import Control
from nightdesk.streams.known_charters import CharterMissing


def for_charter(control: Control) -> WaitsFor:
    """Wait until the charter of a case, a decision or a reservation is known, or the time is over."""

    def waits_for(record: Record, _partition: int) -> AsyncHandler | None:
        case = record if isinstance(record, Case) else getattr(record, "case", None)
        return control.wait_for((case.agent, case.charter_version)) if isinstance(case, Case) else None

    return waits_for


def for_events(control: Control) -> QueueOf:
    """The queues of the ingest stage."""

    def queue_of(record: Record | None, key: bytes | None) -> str | None:
        parking = [compiled.charter for compiled in control.current() if compiled.charter.dead_letters.park_subject]
        if record is None:
            return key.decode(errors="replace") if parking and key else None
        assert isinstance(record, Event), "the ingest topic has only events"
        takes = any(trigger.type == record.type for charter in parking for trigger in charter.on)
        return record.subject if takes else None

    return queue_of


def for_cases(control: Control) -> QueueOf:
    """The queues of decide and act. A record that cannot be decoded there names no charter, and blocks nothing."""

    def queue_of(record: Record | None, _key: bytes | None) -> str | None:
        case = record.case if isinstance(record, Decision) else record
        if not isinstance(case, Case):
            return None
        try:
            charter = control.charter(case.agent, case.charter_version).charter
        except CharterMissing:
            return None
        return composite_key(case.agent, case.subject) if charter.dead_letters.park_subject else None

    return queue_of
