"""The card of a decision that waits for a person, as a message shows it beside its buttons. Pure."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict

from nightdesk.schemas.approval_details import ApprovalRequestDetail
from nightdesk.schemas.foreign_text import visible, visible_json
from nightdesk.schemas.persons import shown_person
from nightdesk.schemas.records import AuditRecord

# Whoever approves has to see all parameters: longer ones do not fit into a block of Slack, and are left out.
PARAMETERS_CHARACTERS_AT_MOST = 2000


class ApprovalCard(BaseModel):
    """What a person answers. `payload_sha256` binds the answer to it. `parameters` is JSON text, or None if it is too
    long for a message: then the decision is approved in the console.
    """

    model_config = ConfigDict(frozen=True)

    decision_id: str
    subject: str
    agent: str
    action: str
    payload_sha256: str
    expires_at: datetime
    parameters: str | None
    approvers: int = 1
    approved_by: tuple[str, ...] = ()

    @classmethod
    def of(cls, record: AuditRecord, asked: ApprovalRequestDetail) -> Self:
        """The card of a request for approval."""
        parameters = visible_json(asked.parameters)
        return cls(
            decision_id=record.decision_id or "",
            subject=visible(record.subject),
            agent=record.agent or "",
            action=record.action or "",
            payload_sha256=asked.payload_sha256,
            expires_at=asked.expires_at,
            parameters=parameters if len(parameters) <= PARAMETERS_CHARACTERS_AT_MOST else None,
            approvers=asked.approvers,
            approved_by=tuple(shown_person(one.person, one.identity) for one in asked.approved_by),
        )
