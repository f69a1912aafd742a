"""What an agent decided and how its steps ended, in order of time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from nightdesk.schemas.dead_letters import PROVE_NOTHING

# Reads by the hour in which a case was opened, going back as far as the longest time that a case may take.
LINES = """
WITH
    {since:DateTime64(6, 'UTC')} AS since, toStartOfHour(toDateTime(since - INTERVAL 45 DAY, 'UTC')) AS first_hour
SELECT toFloat64(time) AS at, kind, case_id, step, cost_microusd, latency_ms, low_confidence, undecided,
    is_refused AS refused, has_failed AS failed
FROM (
    SELECT time, kind, toNullable(case_id) AS case_id, step, cost_microusd, latency_ms, low_confidence, undecided,
        is_refused, has_failed
    FROM case_lines FINAL
    WHERE hour >= first_hour AND agent = {agent:String} AND time >= since
        AND (kind = 'decided' OR (kind = 'acted' AND status != 'refused'))
    UNION ALL
    SELECT time, kind, case_id, step, 0, 0, 0, 0, 0, status = 'failed'
    FROM records_by_kind FINAL
    WHERE kind = 'dead_letter' AND hour >= first_hour AND agent = {agent:String} AND time >= since
        AND case_id IS NOT NULL AND JSONExtractString(detail, 'error') NOT IN {prove_nothing:Array(String)})
ORDER BY time, step
"""


def parameters(agent: str, since: datetime) -> dict[str, Any]:
    """The parameters of `LINES`."""
    return {"agent": agent, "since": since, "prove_nothing": list(PROVE_NOTHING)}


def decided_and_acted(client: Client, agent: str, since: datetime) -> Iterator[dict[str, Any]]:
    """One row for each decision, finished playbook and dead letter, with the fields of
    `processors.anomaly_trial.Audited`.
    """
    rows = client.query(LINES, parameters=parameters(agent, since)).named_results()
    for row in rows:
        yield {**row, **{name: bool(row[name]) for name in ("low_confidence", "undecided", "refused", "failed")}}
