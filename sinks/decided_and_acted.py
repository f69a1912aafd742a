"""What an agent decided and how its steps ended, in order of time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

LINES = """
SELECT toFloat64(time) AS at, kind, case_id, step, cost_microusd, latency_ms,
    JSONExtractBool(detail, 'low_confidence') AS low_confidence, JSONExtractBool(detail, 'undecided') AS undecided,
    kind = 'decided' AND (disposition = 'refused' OR arrayExists(
        passed -> JSONExtractString(passed, 'reason') = 'refused',
        JSONExtractArrayRaw(detail, 'fallbacks')
    )) AS refused,
    kind != 'decided' AND (status = 'failed' OR arrayExists(
        outcome -> JSONExtractString(outcome, 'status') IN ('failed', 'unknown', 'undo_failed'),
        JSONExtractArrayRaw(detail, 'outcomes')
    )) AS failed
FROM records
WHERE agent = {agent:String} AND time >= {since:DateTime64(6, 'UTC')}
    AND (kind = 'decided' OR (kind = 'acted' AND status != 'refused')
        OR (kind = 'dead_letter' AND case_id IS NOT NULL))
ORDER BY time, step
"""


def decided_and_acted(client: Client, agent: str, since: datetime) -> Iterator[dict[str, Any]]:
    """One row for each decision, finished playbook and dead letter, with the fields of
    `processors.anomaly_trial.Audited`.
    """
    rows = client.query(LINES, parameters={"agent": agent, "since": since}).named_results()
    for row in rows:
        yield {**row, **{name: bool(row[name]) for name in ("low_confidence", "undecided", "refused", "failed")}}
