"""Reads from the audit the answers of people to a decision, also those that came too late to count."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from nightdesk.schemas.approval_details import ApprovalReplyDetail
from nightdesk.schemas.audit import Identity
from nightdesk.schemas.audit_kinds import read
from nightdesk.sinks.story import parsed

# An answer that does not count names no case, so its hour is that of its own time. `ids` has the hours of all answers.
ANSWERS = """
SELECT time, reason, detail FROM records_by_kind FINAL
WHERE kind = 'approval' AND hour IN (SELECT hour FROM ids WHERE id = sipHash64({decision:String}))
    AND decision_id = {decision:String} AND JSONExtractString(detail, 'verdict') NOT IN ('asked', 'reminded')
ORDER BY time
"""


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """One answer. `why` says why it does not count, if so; `reason` is the person's own."""

    time: datetime
    verdict: str
    person: str
    identity: Identity | None
    login: str
    counts: bool
    reason: str
    why: str
    parameters: Any


def approval_answers(client: Client, decision_id: str) -> list[GivenAnswer]:
    """The answers, in order of time."""
    rows = client.query(ANSWERS, parameters={"decision": decision_id}).named_results()
    found = ((row, read(ApprovalReplyDetail, row["detail"])) for row in rows)
    return [
        GivenAnswer(
            row["time"],
            detail.verdict,
            detail.person,
            detail.identity,
            detail.login,
            detail.counts,
            detail.reason,
            row["reason"],
            None if detail.parameters is None else parsed(detail.parameters),
        )
        for row, detail in found
        if detail is not None
    ]
