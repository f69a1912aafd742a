"""The audit records of orders: somebody, or the anomaly breaker, stops an agent or lets it go on."""

from nightdesk.schemas import ids
from nightdesk.schemas.audit import ControlDetail
from nightdesk.schemas.records import AuditRecord, ControlCommand


def ordered(order: ControlCommand, traceparent: str | None) -> AuditRecord:
    """An order was given."""
    applies_to = order.applies_to if order.kind == "promote" else None
    detail = ControlDetail(order=order.kind, issued_by=order.issued_by, applies_to=applies_to)
    return _control(order, "control", order.reason, detail, traceparent)


def would_order(order: ControlCommand, traceparent: str | None) -> AuditRecord:
    """The anomaly breaker would have given this order if the charter enforced the bound. It changes no state."""
    detail = ControlDetail(order="observed", would=order.kind, issued_by=order.issued_by)
    return _control(order, "observed", f"observed: {order.reason}", detail, traceparent)


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
