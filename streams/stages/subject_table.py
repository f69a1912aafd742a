"""The table of the act stage with the waiting and approved decisions about each subject."""

from nightdesk.processors.charter.actions import APPROVAL_EXPIRES_AT_MOST_S
from nightdesk.schemas.ids import composite_key
from nightdesk.schemas.records import Decision
from nightdesk.streams.api import Clock, StagedWrites, Table
from nightdesk.streams.stages.execution import KEPT_S
from nightdesk.streams.stages.subject_decisions import SubjectDecisions

_NONE = SubjectDecisions()


class SubjectTable:
    """`SubjectDecisions` by agent and subject."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.table = Table("subject_decisions", SubjectDecisions)

    def of(self, decision: Decision, writes: StagedWrites) -> SubjectDecisions:
        """The decisions of the same agent about the same subject as this one."""
        return self.about(decision.case.agent, decision.subject, writes)

    def about(self, agent: str, subject: str, writes: StagedWrites) -> SubjectDecisions:
        """The decisions of an agent about a subject."""
        return self.table.get(writes.partition, composite_key(agent, subject)) or _NONE

    def put(self, decision: Decision, before: SubjectDecisions, after: SubjectDecisions, writes: StagedWrites) -> None:
        """Store the decisions if they have changed, for as long as any of them can matter."""
        if after is not before:
            expires_at = self._clock().timestamp() + KEPT_S + APPROVAL_EXPIRES_AT_MOST_S
            self.table.put(writes, composite_key(decision.case.agent, decision.subject), after, expires_at)
