"""The topic table: all topics, their records and their retention. A topic is added here and nowhere else."""

from dataclasses import dataclass
from typing import Literal

from nightdesk.schemas import records
from nightdesk.schemas.bounds import EVENT_BYTES_AT_MOST, RECORD_BYTES_AT_MOST
from nightdesk.schemas.records import DeadLetter, DeadLetterEnd, Record

DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Topic:
    """One row of the table. `name` has no prefix; `key` names the field that is the Kafka key. `partition` is the only
    partition used, so that all records have one order; with -1 the key decides. A value of more than `value_bytes`
    becomes a dead letter. `config` has further settings for the broker.
    """

    name: str
    record: type[Record]
    key: str
    retention_ms: int = 30 * DAY_MS
    cleanup: Literal["delete", "compact", "compact,delete"] = "delete"
    dead_letters: bool = True
    partition: int = -1
    value_bytes: int = RECORD_BYTES_AT_MOST
    config: tuple[tuple[str, str], ...] = ()

    @property
    def dlq(self) -> str:
        return f"{self.name}.dlq"

    @property
    def subject(self) -> str:
        """The schema registry's subject without the prefix."""
        return f"{self.name}-value"


INGEST = Topic("ingest", records.Event, key="subject", value_bytes=EVENT_BYTES_AT_MOST)
BUDGET = Topic("budget", records.BudgetEntry, key="agent")
DECIDE = Topic("decide", records.Case, key="subject")
ACT = Topic("act", records.Decision, key="subject")
APPROVALS = Topic("approvals", records.ApprovalReply, key="subject")
RATE_REQUESTS = Topic("rate-requests", records.RateRequest, key="limit")
RATE_GRANTS = Topic("rate-grants", records.RateRequest, key="subject")
SUBJECT_EVENTS = Topic("subject-events", records.SubjectEvent, key="subject")
NOTIFICATIONS = Topic("notifications", records.Notification, key="route")
TIMERS = Topic("timers", records.Timer, key="subject")
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
# The sink reads it whole before it stores a record, so it has one partition and is never deleted.
FORGOTTEN = Topic(
    "forgotten",
    records.ForgottenSubject,
    key="digest",
    cleanup="compact",
    retention_ms=-1,
    dead_letters=False,
    partition=0,
)
# Every command that looks at the workers reads the last day, so small segments keep the log short. The broker's clock
# stamps the records, so that silent workers and wrong clocks can be detected.
WORKERS = Topic(
    "workers",
    records.WorkerReport,
    key="key",
    cleanup="compact,delete",
    retention_ms=DAY_MS,
    dead_letters=False,
    partition=0,
    config=(
        ("message.timestamp.type", "LogAppendTime"),
        ("segment.ms", "300000"),
        ("segment.bytes", str(4 * 1024 * 1024)),
        ("min.cleanable.dirty.ratio", "0.1"),
    ),
)

TOPICS: tuple[Topic, ...] = (
    INGEST,
    BUDGET,
    DECIDE,
    ACT,
    APPROVALS,
    RATE_REQUESTS,
    RATE_GRANTS,
    SUBJECT_EVENTS,
    NOTIFICATIONS,
    TIMERS,
    AUDIT,
    CONTROL,
    FORGOTTEN,
    WORKERS,
)
BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}
# Each record that has a schema of its own in the registry. Those of dead letters are in the headers of messages.
RECORDS: tuple[type[Record], ...] = (*dict.fromkeys(topic.record for topic in TOPICS), DeadLetter, DeadLetterEnd)
