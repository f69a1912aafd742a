"""Reads from the audit the calls that started after an order to stop: of systems and of models."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

SHOWN_AT_MOST = 1000
# A step that came from the cache or needed no call has no attempts.
LATE_STEPS = """
SELECT agent, subject, case_id, decision_id, step_id, handler, status, started_at
FROM steps
WHERE attempts > 0
    AND started_at > {after:DateTime64(6, 'UTC')} AND recorded_at > {after:DateTime64(6, 'UTC')}
    AND ({agent:String} = '*' OR agent = {agent:String})
    AND ({escalations:Bool} OR decision_id NOT IN (SELECT decision_id FROM decisions WHERE kind = 'escalate'))
ORDER BY started_at
LIMIT {at_most:UInt32}
"""
# A recorded reply may be used later, so what counts is when a provider was called.
LATE_QUESTIONS = """
SELECT agent, subject, case_id, step, attempt, answered = 1 AS answered, sent_at
FROM model_calls
WHERE sent_at > {after:DateTime64(6, 'UTC')} AND asked_at > {after:DateTime64(6, 'UTC')}
    AND ({agent:String} = '*' OR agent = {agent:String})
ORDER BY sent_at
LIMIT {at_most:UInt32}
"""
MODEL = "model"


class LateCall(NamedTuple):
    """A call, and when it started by its worker's clock. A question to a model has no decision yet, `model` as its
    handler, and the id by which workers report it.
    """

    agent: str
    subject: str
    case_id: str
    decision_id: str | None
    step_id: str
    handler: str
    status: str
    started_at: datetime


def late_steps(client: Client, agent: str, after: datetime, *, escalations: bool) -> list[LateCall]:
    """The calls of the agent's playbooks (`*`: of every agent) that started after `after`, the earliest first. Without
    `escalations`, their calls are left out, because the order lets them pass.
    """
    asked = {"agent": agent, "after": after, "escalations": escalations, "at_most": SHOWN_AT_MOST}
    return [LateCall(**row) for row in client.query(LATE_STEPS, parameters=asked).named_results()]


def late_questions(client: Client, agent: str, after: datetime) -> list[LateCall]:
    """The agent's questions to models (`*`: of every agent) that were sent after `after`, the earliest first."""
    asked = {"agent": agent, "after": after, "at_most": SHOWN_AT_MOST}
    return [_question(row) for row in client.query(LATE_QUESTIONS, parameters=asked).named_results()]


def _question(row: dict[str, object]) -> LateCall:
    return LateCall(
        agent=str(row["agent"]),
        subject=str(row["subject"]),
        case_id=str(row["case_id"]),
        decision_id=None,
        step_id=f"{row['case_id']}/{row['step']}/{row['attempt']}",
        handler=MODEL,
        status="done" if row["answered"] else "failed",
        started_at=row["sent_at"],  # type: ignore[arg-type]  # the query compares it, so it is a time
    )
