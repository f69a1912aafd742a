"""Those who approve. Each decision is shown to them once."""

from dataclasses import dataclass, field
from random import Random

from nightdesk.schemas.approval_details import ApprovalRequestDetail
from nightdesk.schemas.records import ApprovalReply, AuditRecord
from tests.nights.night import People
from tests.schemas.details import detail_as
from tests.streams.stages.stage_harness import Clock


@dataclass(slots=True)
class Approvers:
    """They read the audit."""

    people: People
    clock: Clock
    rng: Random
    asked: set[str] = field(default_factory=set)

    def answer(self, record: AuditRecord) -> tuple[float, ApprovalReply] | None:
        """What somebody will answer, in how many seconds; None if nobody does, or did already."""
        if record.kind != "approval" or record.status != "needs_approval":
            return None
        if record.decision_id is None or record.decision_id in self.asked:
            return None
        self.asked.add(record.decision_id)
        chance, after_s = self.rng.random(), self.people.after * self.rng.uniform(0.5, 1.5)
        if chance >= self.people.approve + self.people.reject:
            return None
        reply = ApprovalReply(
            decision_id=record.decision_id,
            subject=record.subject,
            verdict="approve" if chance < self.people.approve else "reject",
            payload_sha256=detail_as(ApprovalRequestDetail, record).payload_sha256,
            person="ann",
            time=self.clock(),
        )
        return after_s, reply
