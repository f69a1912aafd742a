"""Whether the day's money was spent, by an audit record of the budget's or of a decision without a model. Pure.

The record's `cause` says so. Programs of before had none, and a worker of theirs drops it from a case that it decides.
While the workers of an upgrade are mixed, it is inferred from the reason, because nobody but the budget stage writes
such a sentence where it is read here.
"""

import re

from nightdesk.schemas.audit import DecisionDetail, RefusalDetail, WaitDetail
from nightdesk.schemas.audit_kinds import detail_of
from nightdesk.schemas.records import NO_PROVIDER, AuditRecord

# As `processors/ledger/reserving.py` wrote it in micro-dollars, and writes it in dollars.
_SPENT = re.compile(
    r"\d+ micro-dollars are needed and \d+ of the day's \d+ are left"
    r"|\$[\d.]+ is needed and \$[\d.]+ of the day's \$[\d.]+ is left"
)
_HELD = ", the rest is reserved for open steps"


def why_spent(record: AuditRecord) -> str | None:
    """Why the day's money did not suffice, if a record of the kinds `deferred`, `refused` or `decided` says so."""
    detail = detail_of(record)
    why = _without_a_model(record, detail) if isinstance(detail, DecisionDetail) else record.reason
    if isinstance(detail, WaitDetail | RefusalDetail | DecisionDetail) and detail.cause:
        return why if detail.cause == "spent" else None
    return why if _SPENT.match(why) and not why.endswith(_HELD) else None


def _without_a_model(record: AuditRecord, detail: DecisionDetail) -> str:
    """Why no model was asked: the rules decided although providers were there, or a person got the case. What a model
    or a rule of the charter says is no such reason, whatever it says.
    """
    skipped = (skipped.detail for skipped in detail.fallbacks if skipped.reason == "budget")
    return next(skipped, detail.reasoning if record.provider == NO_PROVIDER else "")
