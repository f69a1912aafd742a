"""The topic table: which topics there are, what lies in them and for how long.

Called by everything that names a topic. A topic is added here and nowhere else.
"""

from dataclasses import dataclass
from typing import Literal

from schemas import records

DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Topic:
    """One row of the table. `name` is without the prefix; `key` names the record's field that keys it. `partition` is
    where all records lie, so that they have one order; -1 lets the key decide.
    """

    name: str
    record: type[records.Record]
    key: str
    retention_ms: int = 30 * DAY_MS
    cleanup: Literal["delete", "compact"] = "delete"
    dead_letters: bool = True
    partition: int = -1

    @property
    def dlq(self) -> str:
        return f"{self.name}.dlq"

    @property
    def subject(self) -> str:
        """The schema registry's subject without the prefix."""
        return f"{self.name}-value"


INGEST = Topic("ingest", records.Event, key="subject")
BUDGET = Topic("budget", records.BudgetEntry, key="agent")
DECIDE = Topic("decide", records.Case, key="subject")
ACT = Topic("act", records.Decision, key="subject")
APPROVALS = Topic("approvals", records.ApprovalReply, key="subject")
PERMITS = Topic("permits", records.Permit, key="limit")
PERMITTED = Topic("permitted", records.Permit, key="subject")
LATER = Topic("later", records.Reminder, key="subject")
AUDIT = Topic("audit", records.AuditRecord, key="subject")
CONTROL = Topic(
    "control",
    records.ControlCommand,
    key="key",
    cleanup="compact",
    retention_ms=-1,
    dead_letters=False,
    partition=0,
)

TOPICS: tuple[Topic, ...] = (INGEST, BUDGET, DECIDE, ACT, APPROVALS, PERMITS, PERMITTED, LATER, AUDIT, CONTROL)
BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}
