"""The records of limits: the entries of the ledger, and requests for rate grants."""

from datetime import datetime
from typing import Literal

from nightdesk.schemas.bounds import Name, Text
from nightdesk.schemas.records.base import Count, Record
from nightdesk.schemas.records.cases import Case
from nightdesk.schemas.records.decisions import Decision


class BudgetEntry(Record):
    """An entry of an agent's ledger.

    - `reserve` has the case whose step asks for money.
    - `settle` has the real cost of the step.
    - `returned` has the case whose step could not be decided now, as it asks again (`returns` counts how often), why
      (`cause` and `reason`), all that the step may have cost so far, and after how many seconds a retry makes sense.
    - `expire` means that nobody settled it in time.
    - `correct` has the cost that a `person` set, with the `reason`.
    - `ended` says how the step went, if the charter watches for anomalies or the step became a dead letter.
    """

    entry_id: Name
    kind: Literal["reserve", "settle", "returned", "expire", "ended", "correct"]
    agent: Name
    case_id: Name
    amount_microusd: Count
    tokens: Count = 0
    time: datetime
    case: Case | None = None
    step: int = 0
    day: Name = ""
    event_type: Name = ""
    action: Name = ""
    low_confidence: bool = False
    failed: bool = False
    person: Name = ""
    reason: Text = ""
    refused: bool = False
    cause: Literal["", "unavailable", "paused"] = ""
    retry_after_s: Count = 0
    undecided: bool = False
    latency_ms: Count = 0


class RateRequest(Record):
    """A request for a rate grant without `slot_at`, and the grant with it (the time from which on the call may be
    made).

    `limit` names the limit of `count` in `per_seconds`. `purpose` is what the grant is for, a decision or one call of a
    step, and `number` counts the requests for it.
    """

    request_id: Name
    limit: Name
    count: int
    per_seconds: int
    purpose: Name
    number: int
    decision: Decision
    time: datetime
    slot_at: datetime | None = None

    @property
    def subject(self) -> str:
        return self.decision.subject
