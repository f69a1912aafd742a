"""Reads from the audit how people answered an agent's earlier requests for the same action, and how the cases ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from clickhouse_connect.driver.client import Client

from nightdesk.sinks.story import parsed

SHOWN = 8
COUNTED = 1000
LOOKED_BACK = timedelta(days=30)
# Of approvals only, which are few. An answer that does not count names no case.
SIMILAR = """
WITH JSONExtractString(r.detail, 'verdict') AS answer, answer NOT IN ('asked', 'reminded', 'agree') AS is_answer
SELECT r.decision_id AS decision_id, any(assumeNotNull(r.case_id)) AS case_id, any(r.hour) AS hour,
    any(r.subject) AS subject, argMaxIf(JSONExtractString(r.detail, 'parameters'), r.time, answer = 'asked') AS asked,
    argMaxIf(answer, r.time, is_answer) AS verdict,
    argMaxIf(JSONExtractString(r.detail, 'reason'), r.time, is_answer) AS why, maxIf(r.time, is_answer) AS answered_at
FROM records_by_kind AS r FINAL
WHERE r.kind = 'approval' AND r.hour >= toStartOfHour({since:DateTime('UTC')}) AND r.case_id IS NOT NULL
    AND r.agent = {agent:String} AND r.action = {action:String} AND r.decision_id != {decision:String}
GROUP BY r.decision_id
HAVING verdict != ''
ORDER BY answered_at DESC
LIMIT {limit:UInt32}
"""
ENDED = """
SELECT assumeNotNull(case_id) AS case_id, status FROM cases
WHERE hour IN {hours:Array(DateTime('UTC'))} AND case_id IN {cases:Array(String)}
"""


@dataclass(frozen=True, slots=True)
class Similar:
    """An earlier decision for the same action: what was asked, how people answered, and the status of its case."""

    case_id: str
    subject: str
    parameters: Any
    verdict: str
    why: str
    answered_at: datetime
    status: str


@dataclass(frozen=True, slots=True)
class SimilarApprovals:
    """The newest, and how many of the last thirty days (of the newest thousand) were answered in each way."""

    newest: tuple[Similar, ...]
    answers: dict[str, int]


def similar_approvals(client: Client, agent: str, action: str, decision_id: str, now: datetime) -> SimilarApprovals:
    """The earlier ones that were answered, the newest first."""
    asked = {"agent": agent, "action": action, "decision": decision_id, "since": now - LOOKED_BACK, "limit": COUNTED}
    rows = list(client.query(SIMILAR, parameters=asked).named_results())
    answers: dict[str, int] = {}
    for row in rows:
        answers[row["verdict"]] = answers.get(row["verdict"], 0) + 1
    shown = rows[:SHOWN]
    of = {"hours": [row["hour"] for row in shown], "cases": [row["case_id"] for row in shown]}
    ended = {row["case_id"]: row["status"] for row in client.query(ENDED, parameters=of).named_results()}
    newest = (
        Similar(
            row["case_id"],
            row["subject"],
            parsed(row["asked"]),
            row["verdict"],
            row["why"],
            row["answered_at"],
            ended.get(row["case_id"], ""),
        )
        for row in shown
    )
    return SimilarApprovals(tuple(newest), answers)
