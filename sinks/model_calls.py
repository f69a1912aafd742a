"""Reads the questions to models from the audit, with their texts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from clickhouse_connect.driver.client import Client

# Of a subject, because an id leads to its hours.
CALLS = """
SELECT case_id, step, attempt, asked_at, answered = 1 AS answered, provider, model, input_tokens, output_tokens,
    cost_microusd, latency_ms, prompt, reply
FROM model_calls
WHERE subject = {subject:String} AND hour IN (SELECT hour FROM ids WHERE id = sipHash64({subject:String}))
ORDER BY case_id, step, attempt, asked_at
"""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One question and its reply; both are empty when they are no longer kept."""

    case_id: str
    step: int
    attempt: int
    asked_at: datetime
    answered: bool
    provider: str | None
    model: str | None
    input_tokens: int
    output_tokens: int
    cost_microusd: int
    latency_ms: int
    prompt: str
    reply: str


def model_calls(client: Client, subject: str) -> list[ModelCall]:
    """The questions about a subject, by case and step."""
    found = client.query(CALLS, parameters={"subject": subject}).named_results()
    return [ModelCall(**{**row, "answered": bool(row["answered"])}) for row in found]
