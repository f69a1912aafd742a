"""What the audit says that cases cost. Called by `nightdesk budget`."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

COSTS = """
SELECT case_id, any(agent) AS agent, sum(cost_microusd) AS microusd, sum(input_tokens + output_tokens) AS tokens,
    max(time) AS at
FROM records
WHERE kind = 'decided' AND time >= {since:DateTime64(6, 'UTC')}
GROUP BY case_id
HAVING microusd > 0
"""


class CaseCost(NamedTuple):
    """All decisions of one case together."""

    case_id: str
    agent: str
    microusd: int
    tokens: int
    at: datetime


def case_costs(client: Client, since: datetime) -> list[CaseCost]:
    """Every case with a decision since then that cost anything."""
    rows = client.query(COSTS, parameters={"since": since}).named_results()
    return [CaseCost(**row) for row in rows]
