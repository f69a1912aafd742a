"""The audit record and its kinds."""

from datetime import datetime
from typing import Literal

from nightdesk.schemas.bounds import LongText, Name, Text
from nightdesk.schemas.records.base import Record
from nightdesk.schemas.records.cases import CaseStatus

AuditKind = Literal[
    "received",
    "ignored",
    "rejected",
    "deferred",
    "refused",
    "asked",
    "decided",
    "approval",
    "queued",
    "acted",
    "dead_letter",
    "lost",
    "replayed",
    "discarded",
    "parked",
    "reoffered",
    "control",
    "cancelled",
    "budget",
    "notified",
    "outage",
    "forgotten",
]


class AuditRecord(Record):
    """A record of the audit. `status` is the case's status after it; `detail` is JSON text whose shape depends on
    `kind`. `case_at` is that of its case; empty if it is about no case, or if its writer knew only the case's id.
    """

    record_id: Name
    kind: AuditKind
    time: datetime
    subject: Name
    event_id: Name = ""
    event_source: Name = ""
    event_type: Name = ""
    case_id: Name | None = None
    agent: Name | None = None
    charter_version: Name | None = None
    step: int = 0
    decision_id: Name | None = None
    action: Name | None = None
    confidence: float | None = None
    disposition: Name | None = None
    status: CaseStatus
    provider: Name | None = None
    model: Text | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int = 0
    latency_ms: int = 0
    traceparent: Name | None = None
    reason: Text = ""
    detail: LongText = "null"
    case_at: datetime | None = None
