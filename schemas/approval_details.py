"""The details of the audit records of approvals: what a person was asked, a reminder, and an answer."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from nightdesk.schemas.audit import Detail, Identity


class OtherDecision(BaseModel):
    """Another decision of the agent for the same action and subject."""

    model_config = ConfigDict(frozen=True)

    decision_id: str = Field(description="id of the other decision")
    parameters: str = Field(description="parameters of the other decision, as JSON text; at most 1,000 characters")
    approved_at: datetime | None = Field(default=None, description="when a person approved it; null if it still waits")


class ExcludedPerson(BaseModel):
    """A person who may not approve a decision."""

    model_config = ConfigDict(frozen=True)

    person: str = Field(description="who may not approve it")
    because: str = Field(description="why")


class Approver(BaseModel):
    """A person who has approved a decision that further persons have to approve."""

    model_config = ConfigDict(frozen=True)

    person: str = Field(description="who has approved it")
    identity: Identity = Field(description="whether the person's signature proves the name")


class ApprovalRequestDetail(Detail):
    """What a person was asked to approve."""

    verdict: Literal["asked"] = Field(default="asked", description="always asked")
    payload_sha256: str = Field(description="SHA-256 digest of what is shown; an answer counts only if it names this")
    expires_at: datetime = Field(description="when the decision ends as its charter says unless somebody has answered")
    parameters: str = Field(description="parameters that would be used, as JSON text")
    reasoning: str = Field(description="reasoning that whoever decided gave")
    others: tuple[OtherDecision, ...] = Field(
        default=(), description="other decisions for the same action and subject that wait or were approved"
    )
    changes: int = Field(
        default=0, description="number of times that what is shown has changed: the request with most counts"
    )
    approvers: int = Field(default=1, description="number of different persons that have to approve it")
    approved_by: tuple[Approver, ...] = Field(default=(), description="those who have approved it already")
    excluded: tuple[ExcludedPerson, ...] = Field(default=(), description="persons who may not approve it")
    nobody_because: str = Field(default="", description="why nobody can approve it; empty if somebody can")


class ApprovalReminderDetail(Detail):
    """A reminder to the approvers."""

    verdict: Literal["reminded"] = Field(default="reminded", description="always reminded")
    number: int = Field(description="number of the reminder, from 1")
    expires_at: datetime = Field(description="when the decision ends as its charter says unless somebody has answered")


class ApprovalReplyDetail(Detail):
    """What a person answered."""

    verdict: Literal["approve", "reject", "edit", "agree", "expire", "reconsider"] = Field(
        description="what the answer is; agree if the person approved and further persons have to, expire if nobody"
        " gave one in time, reconsider if a newer event took it back"
    )
    person: str = Field(description="who answered, as the answer says")
    counts: bool = Field(description="false if the answer changes nothing; the record's reason says why")
    identity: Identity | None = Field(
        default=None, description="whether the person's signature proves the name; null if the answer does not count"
    )
    parameters: str | None = Field(
        default=None, description="parameters that the person put in place of those shown, as JSON text; only with edit"
    )
    reason: str = Field(default="", description="reason that the person gave")
    login: str = Field(
        default="",
        description="login of whoever answered in the console: issuer and subject, with a space between them",
    )
