"""The audit records of orders: somebody, or the anomaly breaker, stops an agent or lets it go on; or a worker cannot
follow one.
"""

from datetime import datetime

from nightdesk.schemas import ids
from nightdesk.schemas.audit import ControlDetail
from nightdesk.schemas.records import AuditRecord, ControlCommand, UnreadableCharter


def ordered(order: ControlCommand, traceparent: str | None) -> AuditRecord:
    """An order was given."""
    applies_to = order.applies_to if order.kind == "promote" else None
    detail = ControlDetail(order=order.kind, issued_by=order.issued_by, login=order.login, applies_to=applies_to)
    return _control(order, "control", order.reason, detail, traceparent)


def would_order(order: ControlCommand, traceparent: str | None) -> AuditRecord:
    """The anomaly breaker would have given this order if the charter enforced the bound. It changes no state."""
    detail = ControlDetail(order="observed", would=order.kind, issued_by=order.issued_by)
    return _control(order, "observed", f"observed: {order.reason}", detail, traceparent)


def unreadable(charter: UnreadableCharter, worker: str, token: str, now: datetime) -> AuditRecord:
    """A worker (`<stage>/<instance_id>`, with the token of its process) cannot read the promoted charter."""
    instead = f"version {charter.instead} stays in force there" if charter.instead else "it takes no event of the agent"
    detail = ControlDetail(order="unreadable", issued_by=f"nightdesk:{worker}")
    return AuditRecord(
        record_id=ids.record_id("unreadable", charter.agent, charter.version, worker, token),
        kind="control",
        time=now,
        subject=charter.agent,
        agent=charter.agent,
        status="ignored",
        reason=f"{worker} cannot read charter {charter.version}, so {instead}: {charter.reason}",
        detail=detail.model_dump_json(),
    )


def _control(
    order: ControlCommand, name: str, reason: str, detail: ControlDetail, traceparent: str | None
) -> AuditRecord:
    return AuditRecord(
        record_id=ids.record_id(name, order.key, order.kind, order.time.isoformat()),
        kind="control",
        time=order.time,
        subject=order.agent,
        agent=order.agent,
        status="ignored",
        reason=reason,
        detail=detail.model_dump_json(),
        traceparent=traceparent,
    )
