"""What `nightdesk events reoffer` would offer again, read from a night's audit instead of ClickHouse."""

from collections.abc import Iterable, Iterator

from faust.types import TP

from nightdesk.messaging.producer import Message
from nightdesk.schemas.audit import EventDetail
from nightdesk.schemas.audit_kinds import read
from nightdesk.schemas.records import AuditRecord
from nightdesk.schemas.reoffers import EVERY_AGENT, reoffer_header
from nightdesk.schemas.topics import INGEST
from nightdesk.sinks.untaken import UNTAKEN_STATUSES, UntakenEvent
from tests.simulator.log import PREFIX, Log


def untaken(audits: Iterable[AuditRecord]) -> list[UntakenEvent]:
    """The events of which an agent made no case, in the order of the log. The last offer to an agent counts."""
    found: dict[tuple[str, str], UntakenEvent] = {}
    taken: set[tuple[str, str]] = set()
    for record in sorted(audits, key=lambda record: record.time):
        key = (record.agent or "", record.event_id)
        if record.kind == "received":
            taken |= {key, ("", record.event_id)}
        event = _event(record)
        if event is not None:
            found[key] = event
    left = (event for key, event in found.items() if key not in taken)
    return sorted(left, key=lambda event: (event.partition, event.offset, event.agent))


def _event(record: AuditRecord) -> UntakenEvent | None:
    status = next((status for status in UNTAKEN_STATUSES if status == record.kind), None)
    detail = None if status is None else read(EventDetail, record.detail)
    if status is None or detail is None or detail.partition is None or detail.offset is None:
        return None
    return UntakenEvent(
        record.subject,
        record.event_source,
        record.event_id,
        record.event_type,
        record.agent or "",
        status,
        record.reason,
        record.time,
        detail.partition,
        detail.offset,
    )


def offered_again(log: Log, events: Iterable[UntakenEvent]) -> Iterator[Message]:
    """The records that offer them again: each as it lies in the log, with the header."""
    topic = PREFIX + INGEST.name
    for event in events:
        original = log.topics[TP(topic, event.partition)][event.offset]
        headers = (*original.headers, reoffer_header(event.agent or EVERY_AGENT))
        yield Message(topic, original.key, original.value, headers, event.partition)
