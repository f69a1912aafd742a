"""The audit records of an event that arrives: a case begins, waits for its turn, or does not begin."""

from datetime import datetime
from typing import Protocol

from nightdesk.schemas import ids
from nightdesk.schemas.audit import EventDetail, RefusalDetail, WaitDetail
from nightdesk.schemas.audit_records.about import of_case, of_event
from nightdesk.schemas.records import AuditRecord, Case, CaseStatus, Event, StepCause

# Bounds the text about an event that made no case, because anyone may send any number of those.
DATA_CHARACTERS_WITHOUT_CASE = 10_000


class Place(Protocol):
    """Where an event lies in the log, so that it can be offered again. `place` names its delivery."""

    @property
    def partition(self) -> int: ...

    @property
    def offset(self) -> int: ...

    @property
    def place(self) -> str: ...


def received(case: Case, traceparent: str, reason: str = "") -> AuditRecord:
    """A case begins. `reason` is what a person should know about its event."""
    return AuditRecord(
        record_id=ids.record_id("received", case.case_id),
        kind="received",
        time=case.received_at,
        status="running",
        reason=reason,
        detail=EventDetail(data=case.event.data, time=case.event.time).model_dump_json(),
        traceparent=traceparent,
        **of_case(case),
    )


def no_case(
    event: Event, kind: str, reason: str, at: Place, traceparent: str, now: datetime, agent: str | None = None
) -> AuditRecord:
    """An event of which no case was made: no agent takes it, it is a repetition, or `agent` cannot take its data."""
    return AuditRecord(
        record_id=ids.record_id(kind, event.source, event.id, event.subject, agent or "", at.place),
        kind="rejected" if kind == "rejected" else "ignored",
        time=now,
        status="failed" if kind == "rejected" else "ignored",
        reason=reason,
        detail=_without_case(event, at).model_dump_json(),
        traceparent=traceparent,
        agent=agent,
        **of_event(event),
    )


def _without_case(event: Event, at: Place) -> EventDetail:
    data = event.data[:DATA_CHARACTERS_WITHOUT_CASE]
    return EventDetail(data=data, time=event.time, partition=at.partition, offset=at.offset)


def not_admitted(case: Case, reason: str, at: Place, traceparent: str, now: datetime) -> AuditRecord:
    """The limit of its subject keeps the case from beginning; its event can be offered again."""
    return AuditRecord(
        record_id=ids.record_id("refused", case.case_id, at.place),
        kind="refused",
        time=now,
        status="refused",
        reason=reason,
        detail=_without_case(case.event, at).model_dump_json(),
        traceparent=traceparent,
        **of_case(case),
    )


def waits_for_turn(case: Case, reason: str, until: datetime, traceparent: str) -> AuditRecord:
    """The case waits until the limit of its subject has room, `until` at most."""
    detail = WaitDetail(until=until)
    return _turn(case, "waits", "deferred", reason, case.received_at, detail.model_dump_json(), traceparent)


def turn_came(case: Case, reason: str, traceparent: str, now: datetime) -> AuditRecord:
    """The case goes on: its turn came, or it waited for as long as it may."""
    return _turn(case, "goes on", "running", reason, now, "null", traceparent)


def _turn(
    case: Case, what: str, status: CaseStatus, reason: str, time: datetime, detail: str, traceparent: str
) -> AuditRecord:
    return AuditRecord(
        record_id=ids.record_id(what, case.case_id),
        kind="deferred",
        time=time,
        status=status,
        reason=reason,
        detail=detail,
        traceparent=traceparent,
        **of_case(case),
    )


def refused(case: Case, cause: StepCause, reason: str, traceparent: str, now: datetime) -> AuditRecord:
    """The budget keeps the case from beginning."""
    return AuditRecord(
        record_id=ids.record_id("refused", case.case_id),
        kind="refused",
        time=now,
        status="refused",
        reason=reason,
        detail=RefusalDetail(cause=cause).model_dump_json(),
        traceparent=traceparent,
        **of_case(case),
    )
