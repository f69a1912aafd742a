"""The cards of decisions that wait: people are asked again when what a card shows has changed."""

from datetime import datetime

from nightdesk.processors.four_eyes import ApprovalRule
from nightdesk.schemas.records import ApprovalReply, Decision
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.stages import approval_records
from nightdesk.streams.stages.held_decisions import Agreement, Held
from nightdesk.streams.stages.held_table import HeldTable
from nightdesk.streams.stages.subject_decisions import SubjectDecisions
from nightdesk.streams.stages.subject_table import SubjectTable


class Cards:
    """What people are shown of the decisions in these tables."""

    def __init__(self, held: HeldTable, subjects: SubjectTable) -> None:
        self._held = held
        self._subjects = subjects

    def show_anew(self, held: Held, writes: StagedWrites, now: datetime, rule: ApprovalRule | None = None) -> Held:
        """Ask again if the shown text has changed, and answers to the earlier text then do not count; or if other
        persons have to approve it (`rule`).
        """
        if not held.is_open:
            return held
        others = self._subjects.of(held.decision, writes)
        return self._show(held, held.showing(others).under(rule or held.rule), others, writes, now)

    def show_others_anew(
        self, decision: Decision, others: SubjectDecisions, writes: StagedWrites, now: datetime
    ) -> None:
        """Ask again about each waiting decision. A redelivered answer emits the same records."""
        for other in others.others_open(decision):
            held = self._held.read(writes.partition, other.decision_id)
            if held is not None and held.is_open and held.one_open:
                shown = self._show(held, held.showing(others), others, writes, now)
                if shown is held:
                    writes.audit(approval_records.asked(held, others, held.traceparent, now))

    def tell(self, held: Held, reply: ApprovalReply, agreement: Agreement, writes: StagedWrites, now: datetime) -> None:
        """Record an approval that is not enough alone, and ask the others. A redelivered one emits the same records."""
        writes.audit(approval_records.agreed(reply, agreement, held.decision, held.traceparent, now))
        if held.is_open:
            others = self._subjects.of(held.decision, writes)
            writes.audit(approval_records.asked(held, others, held.traceparent, now))

    def _show(self, held: Held, shown: Held, others: SubjectDecisions, writes: StagedWrites, now: datetime) -> Held:
        if shown is not held:
            self._held.put(shown, writes)
            writes.audit(approval_records.asked(shown, others, shown.traceparent, now))
        return shown
