"""Reads decisions as a data set: what was asked, what was decided, what a person answered, and what came of it.

Decisions are read by the hour in which their cases were opened, so memory holds one hour however long the time is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from clickhouse_connect.driver.client import Client
from pydantic import BaseModel

HOURS = """
SELECT DISTINCT hour FROM decisions
WHERE hour >= toStartOfHour({since:DateTime('UTC')}) AND hour < {until:DateTime('UTC')}
ORDER BY hour
"""
# The event is looked up by its subject, which is the first key of the records.
OF_AN_HOUR = """
WITH answers AS (
    SELECT decision_id, max(time) AS answered_at, argMax(detail, time) AS answer FROM records_by_kind FINAL
    WHERE kind = 'approval' AND hour = {hour:DateTime('UTC')} AND JSONExtractBool(detail, 'counts')
        AND JSONExtractString(detail, 'verdict') IN ('approve', 'edit', 'reject')
    GROUP BY decision_id
), done AS (
    SELECT decision_id, arraySort(groupArray((position, handler, status, ifNull(error, '')))) AS steps FROM steps
    WHERE hour = {hour:DateTime('UTC')} GROUP BY decision_id
), asked AS (
    SELECT case_id, any(JSONExtractString(detail, 'data')) AS data, any(traceparent) AS traceparent FROM records
    WHERE kind = 'received' AND case_id IS NOT NULL
        AND subject IN (SELECT subject FROM decisions WHERE hour = {hour:DateTime('UTC')})
    GROUP BY case_id
)
SELECT d.decision_id AS decision_id, d.case_id AS case_id, d.step AS step, d.agent AS agent,
    d.charter_version AS charter_version, d.decided_at AS decided_at, d.subject AS subject,
    d.event_source AS event_source, d.event_id AS event_id, d.event_type AS event_type,
    asked.data AS event_data, asked.traceparent AS traceparent, d.action AS action, d.kind AS kind,
    d.parameters AS parameters, d.reasoning AS reasoning, d.confidence AS confidence, d.disposition AS disposition,
    d.disposition_reason AS disposition_reason, d.verdicts AS rule_verdicts, d.provider AS provider, d.model AS model,
    d.prompt_sha256 AS prompt_sha256, d.input_tokens AS input_tokens, d.output_tokens AS output_tokens,
    d.cost_microusd AS cost_microusd, d.latency_ms AS latency_ms,
    JSONExtractString(answers.answer, 'verdict') AS verdict, JSONExtractString(answers.answer, 'person') AS person,
    JSONExtractString(answers.answer, 'reason') AS person_reason,
    JSONExtract(answers.answer, 'parameters', 'Nullable(String)') AS person_parameters,
    if(verdict = '', NULL, answers.answered_at) AS answered_at, done.steps AS steps
FROM decisions AS d
LEFT JOIN asked ON asked.case_id = d.case_id
LEFT JOIN answers ON answers.decision_id = d.decision_id
LEFT JOIN done ON done.decision_id = d.decision_id
WHERE d.hour = {hour:DateTime('UTC')} AND ({agent:String} = '' OR d.agent = {agent:String})
    AND (NOT {reviewed:Bool} OR verdict != '')
ORDER BY d.decided_at, d.decision_id
"""


class StepResult(BaseModel):
    """How one step of the decision's playbook ended."""

    position: int
    handler: str
    status: str
    error: str


class ExportedDecision(BaseModel):
    """A decision. `event_data`, `parameters`, `rule_verdicts` and `person_parameters` are JSON text, exactly as it was.

    `verdict` is a person's answer to it: approve, edit or reject; empty if nobody was asked or nobody answered.
    `person_parameters` are those that the person put in place of the agent's.
    """

    decision_id: str
    case_id: str
    step: int
    agent: str
    charter_version: str
    decided_at: datetime
    subject: str
    event_source: str
    event_id: str
    event_type: str
    event_data: str
    traceparent: str
    action: str
    kind: str
    parameters: str
    reasoning: str
    confidence: float | None
    disposition: str
    disposition_reason: str
    rule_verdicts: str
    provider: str
    model: str
    prompt_sha256: str
    input_tokens: int
    output_tokens: int
    cost_microusd: int
    latency_ms: int
    verdict: Literal["", "approve", "edit", "reject"]
    person: str
    person_reason: str
    person_parameters: str | None
    answered_at: datetime | None
    steps: list[StepResult]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions: of cases that were opened in these hours, of this agent, only those that a person answered."""

    since: datetime
    until: datetime
    agent: str = ""
    reviewed: bool = False


def hours(client: Client, wanted: Wanted) -> list[datetime]:
    """The hours in which there is a decision, in order."""
    rows = client.query(HOURS, parameters={"since": wanted.since, "until": wanted.until}).result_rows
    return [row[0] for row in rows]


def decisions_of(client: Client, hour: datetime, wanted: Wanted) -> Iterator[ExportedDecision]:
    """The decisions of the cases of one hour, in the order in which they were made."""
    asked = {"hour": hour, "agent": wanted.agent, "reviewed": wanted.reviewed}
    for row in client.query(OF_AN_HOUR, parameters=asked).named_results():
        yield _decision(row)


def _decision(row: dict[str, Any]) -> ExportedDecision:
    steps = [dict(zip(StepResult.model_fields, step, strict=True)) for step in row["steps"]]
    text = {name: "" for name, value in row.items() if value is None and name not in _MAY_BE_NULL}
    return ExportedDecision.model_validate({**row, **text, "steps": steps})


_MAY_BE_NULL = frozenset({"confidence", "person_parameters", "answered_at"})
