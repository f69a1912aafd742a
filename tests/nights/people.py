"""Those who approve. Each decision is shown to them once, and again if it is asked about with something new in view."""

from dataclasses import dataclass, field
from random import Random

from nightdesk.schemas.approval_details import ApprovalRequestDetail
from nightdesk.schemas.audit_kinds import read
from nightdesk.schemas.records import ApprovalReply, AuditRecord
from tests.nights.night import People
from tests.streams.stages.stage_harness import Clock


@dataclass(slots=True)
class Approvers:
    """They read the audit."""

    people: People
    clock: Clock
    rng: Random
    asked: dict[str, set[str]] = field(default_factory=dict)

    def answer(self, record: AuditRecord) -> tuple[float, ApprovalReply] | None:
        """What somebody will answer, in how many seconds; None if nobody does, or did already."""
        if record.kind != "approval" or record.status != "needs_approval":
            return None
        request = read(ApprovalRequestDetail, record.detail)
        if request is None or record.decision_id is None:
            return None
        cards = self.asked.setdefault(record.decision_id, set())
        if request.payload_sha256 in cards:
            return None
        rng = Random(request.payload_sha256) if cards else self.rng
        cards.add(request.payload_sha256)
        chance, after_s = rng.random(), self.people.after * rng.uniform(0.5, 1.5)
        if chance >= self.people.approve + self.people.reject:
            return None
        reply = ApprovalReply(
            decision_id=record.decision_id,
            subject=record.subject,
            verdict="approve" if chance < self.people.approve else "reject",
            payload_sha256=request.payload_sha256,
            person="ann",
            time=self.clock(),
        )
        return after_s, reply
