"""What waits for a person, read from the audit. Called by `nightdesk approvals`.

A decision waits from the approval record that asks until one that answers. What is shown is what the hash in the asking
record binds: an answer to anything else counts for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

ASKED = """
SELECT r.decision_id AS decision_id, r.subject AS subject, r.agent AS agent, r.action AS action, r.reason AS reason,
    r.time AS asked_at, r.detail AS asked, d.detail AS decided, d.confidence AS confidence
FROM records AS r INNER JOIN records AS d ON d.decision_id = r.decision_id AND d.kind = 'decided'
WHERE r.kind = 'approval' AND JSONExtractString(r.detail, 'verdict') = 'asked'
    AND startsWith(r.decision_id, {decision:String})
ORDER BY r.time
"""
ANSWERED = """
SELECT DISTINCT decision_id FROM records
WHERE kind = 'approval' AND case_id IS NOT NULL AND JSONExtractString(detail, 'verdict') != 'asked'
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A decision that waits. `parameters` is what would be done, `payload_sha256` binds an answer to it."""

    decision_id: str
    subject: str
    agent: str
    action: str
    parameters: dict[str, Any]
    reasoning: str
    confidence: float
    reason: str
    asked_at: datetime
    expires_at: str
    payload_sha256: str


def waiting(client: Client, decision_id: str = "") -> list[Waiting]:
    """Decisions without an answer, the oldest first; of those whose id begins so, where `decision_id` is given."""
    answered = {str(row["decision_id"]) for row in client.query(ANSWERED).named_results()}
    rows: Iterable[Mapping[str, Any]] = client.query(ASKED, parameters={"decision": decision_id}).named_results()
    return [_waiting(row) for row in rows if row["decision_id"] not in answered]


def _waiting(row: Mapping[str, Any]) -> Waiting:
    asked, decided = json.loads(row["asked"]), json.loads(row["decided"])
    return Waiting(
        decision_id=row["decision_id"],
        subject=row["subject"],
        agent=row["agent"],
        action=row["action"],
        # What the hash is of. Audit records of older versions of the program do not hold it.
        parameters=asked.get("parameters", decided["parameters"]),
        reasoning=asked.get("reasoning", decided["reasoning"]),
        confidence=row["confidence"],
        reason=row["reason"],
        asked_at=row["asked_at"],
        expires_at=asked["expires_at"],
        payload_sha256=asked["payload_sha256"],
    )
