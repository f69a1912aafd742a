"""Builds audit records: one function for each thing that a stage, the sink or a command records.

The functions fill the fields that all records share and the kind's own `detail` (`schemas/audit.py`). The id of a
record is derived from what it records, so a record that is written again has the same id, and readers take the first.
"""

from nightdesk.schemas.audit_records.approvals import (
    approval_agreed,
    approval_answered,
    approval_asked,
    approval_reconsidered,
    approval_reminded,
    approval_void,
)
from nightdesk.schemas.audit_records.arrivals import no_case, not_admitted, received, refused, turn_came, waits_for_turn
from nightdesk.schemas.audit_records.control import ordered, unreadable, would_order
from nightdesk.schemas.audit_records.costs import beyond_held, claim, corrected
from nightdesk.schemas.audit_records.dead_letters import dead_lettered, ended, lost, not_released, parked
from nightdesk.schemas.audit_records.decisions import Measures, acted, decided
from nightdesk.schemas.audit_records.events import reoffered
from nightdesk.schemas.audit_records.forgotten import forgotten
from nightdesk.schemas.audit_records.notifications import notified
from nightdesk.schemas.audit_records.outages import outage
from nightdesk.schemas.audit_records.questions import asked
from nightdesk.schemas.audit_records.timers import cancel_void, cancelled
from nightdesk.schemas.audit_records.waits import deferred, found_spent, goes_on, halted, queued, resumed, undecided

__all__ = [
    "Measures",
    "acted",
    "approval_agreed",
    "approval_answered",
    "approval_asked",
    "approval_reconsidered",
    "approval_reminded",
    "approval_void",
    "asked",
    "beyond_held",
    "cancel_void",
    "cancelled",
    "claim",
    "corrected",
    "dead_lettered",
    "decided",
    "deferred",
    "ended",
    "forgotten",
    "found_spent",
    "goes_on",
    "halted",
    "lost",
    "no_case",
    "not_admitted",
    "not_released",
    "notified",
    "ordered",
    "outage",
    "parked",
    "queued",
    "received",
    "refused",
    "reoffered",
    "resumed",
    "turn_came",
    "undecided",
    "unreadable",
    "waits_for_turn",
    "would_order",
]
