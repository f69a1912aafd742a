"""The audit record of an event that a person offers again."""

from datetime import datetime
from typing import Protocol

from nightdesk.schemas import ids
from nightdesk.schemas.audit import ReofferDetail
from nightdesk.schemas.persons import shown_person
from nightdesk.schemas.records import AuditRecord


class LoggedEvent(Protocol):
    """An event of which no case was made, and its place on the ingest topic."""

    @property
    def subject(self) -> str: ...

    @property
    def event_source(self) -> str: ...

    @property
    def event_id(self) -> str: ...

    @property
    def event_type(self) -> str: ...

    @property
    def agent(self) -> str: ...

    @property
    def partition(self) -> int: ...

    @property
    def offset(self) -> int: ...


def reoffered(event: LoggedEvent, person: str, reason: str, now: datetime) -> AuditRecord:
    """A person offers the event again. The record changes no status: the outcome has records of its own."""
    place = {"partition": event.partition, "offset": event.offset}
    detail = ReofferDetail(agent=event.agent, person=person, reason=reason, **place)
    at = f"{event.partition}:{event.offset}"
    return AuditRecord(
        record_id=ids.record_id("reoffered", at, event.agent, now.isoformat()),
        kind="reoffered",
        time=now,
        subject=event.subject,
        event_id=event.event_id,
        event_source=event.event_source,
        event_type=event.event_type,
        agent=event.agent or None,
        status="ignored",
        reason=f"offered again by {shown_person(person)}" + (f": {reason}" if reason else ""),
        detail=detail.model_dump_json(),
    )
