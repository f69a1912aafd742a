"""The audit records of a case that waits: before a step is decided, or before its decision is carried out."""

from datetime import UTC, datetime
from typing import Protocol

from nightdesk.schemas import ids
from nightdesk.schemas.audit import HaltDetail, WaitDetail
from nightdesk.schemas.audit_records.about import of_case, of_decision
from nightdesk.schemas.records import AuditRecord, Case, Decision


class TimedWait(Protocol):
    """Why something waits, and until when."""

    @property
    def due_at(self) -> datetime: ...

    @property
    def reason(self) -> str: ...


class Deferral(Protocol):
    """A step that waits in its agent's queue: the gate that keeps it, and since when and until when at most, in epoch
    seconds.
    """

    @property
    def gate(self) -> str: ...

    @property
    def reason(self) -> str: ...

    @property
    def since(self) -> float: ...

    @property
    def until(self) -> float: ...


def deferred(case: Case, waits: Deferral, traceparent: str) -> AuditRecord:
    """A step of the case begins to wait in its agent's queue."""
    return AuditRecord(
        record_id=ids.record_id("deferred", case.case_id, str(case.step), str(case.returns)),
        kind="deferred",
        time=datetime.fromtimestamp(waits.since, UTC),
        status="deferred",
        reason=waits.reason,
        detail=WaitDetail(until=datetime.fromtimestamp(waits.until, UTC), cause=waits.gate).model_dump_json(),
        traceparent=traceparent,
        **of_case(case),
    )


def found_spent(case: Case, waits: Deferral, traceparent: str, now: datetime) -> AuditRecord:
    """The step waits for money that others had reserved, and it is spent: now the step waits for another day."""
    record_id = ids.record_id("found_spent", case.case_id, str(case.step), str(case.returns))
    return deferred(case, waits, traceparent).model_copy(update={"record_id": record_id, "time": now})


def resumed(case: Case, since: float, traceparent: str, now: float) -> AuditRecord:
    """The step that waited since `since` (epoch seconds) goes on, or goes to a person."""
    return AuditRecord(
        record_id=ids.record_id("resumed", case.case_id, str(case.step), str(case.returns)),
        kind="deferred",
        time=datetime.fromtimestamp(now, UTC),
        status="running",
        reason=f"goes on: it waited since {datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M:%S} UTC",
        traceparent=traceparent,
        **of_case(case),
    )


def undecided(case: Case, reason: str, until: datetime, traceparent: str, now: datetime) -> AuditRecord:
    """The step waits before it is decided, because an order holds its agent or no model is available. A step that
    waits more than once for the same reason has one record. Its kind comes before `decided` in the life of a case.
    """
    return AuditRecord(
        record_id=ids.record_id("undecided", case.case_id, str(case.step), reason),
        kind="deferred",
        time=now,
        status="waiting",
        reason=reason,
        detail=WaitDetail(until=until).model_dump_json(),
        traceparent=traceparent,
        **of_case(case),
    )


def queued(decision: Decision, wait: TimedWait, cause: str, traceparent: str, now: datetime) -> AuditRecord:
    """The decision waits: for a rate grant, for a system that is away, or for another attempt. The reason is part of
    the id: the same delivery, read again after a crash, may wait for something else.
    """
    return AuditRecord(
        record_id=ids.record_id("queued", decision.decision_id, cause, wait.reason),
        kind="queued",
        time=now,
        disposition=decision.disposition,
        status="waiting",
        reason=wait.reason,
        detail=WaitDetail(until=wait.due_at).model_dump_json(),
        traceparent=traceparent,
        **of_decision(decision),
    )


def halted(decision: Decision, reason: str, cause: str, traceparent: str, since: float) -> AuditRecord:
    """The decision waits until an order is lifted. `cause` names the wait; `since` is in epoch seconds."""
    return AuditRecord(
        record_id=ids.record_id("halted", cause),
        kind="queued",
        time=datetime.fromtimestamp(since, UTC),
        disposition=decision.disposition,
        status="waiting",
        reason=reason,
        detail=HaltDetail(cause="order").model_dump_json(),
        traceparent=traceparent,
        **of_decision(decision),
    )


def goes_on(decision: Decision, since: float, cause: str, traceparent: str, now: datetime) -> AuditRecord:
    """The order is lifted, and the decision goes on. `since` is when it began to wait, in epoch seconds."""
    return AuditRecord(
        record_id=ids.record_id("goes_on", cause),
        kind="queued",
        time=now,
        disposition=decision.disposition,
        status="running",
        reason="the order to stop was lifted",
        detail=HaltDetail(cause="order", waited_s=max(0, int(now.timestamp() - since))).model_dump_json(),
        traceparent=traceparent,
        **of_decision(decision),
    )
