"""Logs audit records when they are durable: one line for each decision, action, refusal and failure.

A line has all ids, so that `grep` finds everything that was done about a ticket. It has no text from outside: no event
data, parameters, reasoning, reasons or error messages. The subject is logged as it is, because people search for it
(docs/how-to/logs.md).
"""

import logging
from collections.abc import Iterable

from nightdesk.schemas.audit_kinds import detail_of
from nightdesk.schemas.records import AuditRecord, DeadLetter
from nightdesk.schemas.trace_context import parse

log = logging.getLogger(__name__)
AUDIT_LOGGER = log.name
# The attribute of a log record that contains its fields.
FIELDS = "fields"

KINDS = frozenset({"decided", "approval", "acted", "refused", "rejected", "dead_letter", "lost"})


def fields(record: AuditRecord) -> dict[str, str | int]:
    """The fields of a line, without empty ones."""
    said: dict[str, str | int | None] = {
        "subject": record.subject,
        "event_id": record.event_id,
        "event_source": record.event_source,
        "case_id": record.case_id,
        "decision_id": record.decision_id,
        "trace_id": trace.trace_id if (trace := parse(record.traceparent)) else "",
        "agent": record.agent,
        "step": record.step,
        "action": record.action,
        "disposition": record.disposition,
        "status": record.status,
        "provider": record.provider,
        "model": record.model,
        "cost_microusd": record.cost_microusd,
    }
    if record.kind in ("dead_letter", "lost") and isinstance(letter := detail_of(record), DeadLetter):
        said |= {"stage": letter.stage, "error": letter.error, "dead_letter_id": letter.dead_letter_id}
    return {name: value for name, value in said.items() if value}


def log_records(records: Iterable[AuditRecord]) -> None:
    """Log durable audit records."""
    for record in records:
        if record.kind in KINDS:
            level = logging.WARNING if record.status == "failed" else logging.INFO
            log.log(level, record.kind, extra={FIELDS: fields(record)})
