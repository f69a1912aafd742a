"""Decisions, with everything that explains them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from nightdesk.schemas.bounds import Name, Text
from nightdesk.schemas.records.base import Count, Record
from nightdesk.schemas.records.cases import Case, Kind

Disposition = Literal["execute", "needs_approval", "dry_run", "refused"]

# The provider of a decision that neither a model nor a rule made.
NO_PROVIDER = "none"


class Verdict(Record):
    """The result of one rule for a decision."""

    rule: Text = Field(description="name of the rule")
    passed: bool = Field(description="whether the decision satisfies the rule")
    reason: Text = Field(default="", description="why it does not")


class Fallback(Record):
    """A provider that was skipped or failed, and why."""

    provider: Name = Field(description="provider that gave no answer")
    reason: Text = Field(description="why, as a short code")
    detail: Text = Field(default="", description="what the provider or the check said")
    called: bool = Field(
        default=False, description="true if the provider was called: it may have failed or been charged for"
    )


class Decision(Record):
    """The typed answer for one step of a case, with everything that explains it and the disposition by the gates.

    `low_confidence`: the answer's confidence was below what its action needs, also if the gates replaced the answer.
    `unanswered_microusd`: the part of `cost_microusd` that is for calls without an answer. `would_need_approval`: a dry
    run whose decision a person would have to approve in live mode.
    """

    decision_id: Name
    case: Case
    action: Name
    kind: Kind
    confidence: Annotated[float, Field(ge=0.0, le=1.0)]
    parameters: Text
    reasoning: Text
    provider: Name
    model: Text | None = None
    prompt_sha256: Name | None = None
    disposition: Disposition
    disposition_reason: Text = ""
    verdicts: tuple[Verdict, ...] = ()
    fallbacks: tuple[Fallback, ...] = ()
    input_tokens: Count = 0
    output_tokens: Count = 0
    cost_microusd: Count = 0
    latency_ms: Count = 0
    decided_at: datetime
    low_confidence: bool = False
    unanswered_microusd: Count = 0
    would_need_approval: bool = False

    @property
    def subject(self) -> str:
        return self.case.event.subject

    @property
    def is_undecided(self) -> bool:
        """Whether neither a model nor a rule could decide, though they were to."""
        return self.provider == NO_PROVIDER and not self.case.escalate_because
