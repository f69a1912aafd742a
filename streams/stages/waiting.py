"""Who waits for whom after a dead letter, by the charters: the queues of the routes of ingest, decide and act.

A case and a decision wait behind the letters of their own agent and subject, as the charter they began with says. An
event is not yet any agent's: it waits for its subject if a charter in force that takes events of its type says so. What
cannot be read might have been of any type.
"""

from schemas.records import Case, Decision, Event, Record
from streams.charters import CharterMissing, Control
from streams.runtime.parking import QueueOf


def of_events(control: Control) -> QueueOf:
    """The queues of the ingest stage."""

    def queue_of(record: Record | None, key: bytes | None) -> str | None:
        parking = [compiled.charter for compiled in control.current() if compiled.charter.dead_letters.park_subject]
        if record is None:
            return key.decode(errors="replace") if parking and key else None
        assert isinstance(record, Event), "what lies on the ingest topic"
        takes = any(trigger.type == record.type for charter in parking for trigger in charter.on)
        return record.subject if takes else None

    return queue_of


def of_cases(control: Control) -> QueueOf:
    """The queues of decide and act. What cannot be read there names no charter, and holds up nobody."""

    def queue_of(record: Record | None, _key: bytes | None) -> str | None:
        case = record.case if isinstance(record, Decision) else record
        if not isinstance(case, Case):
            return None
        try:
            charter = control.charter(case.agent, case.charter_version).charter
        except CharterMissing:
            return None
        return f"{case.agent} {case.subject}" if charter.dead_letters.park_subject else None

    return queue_of
