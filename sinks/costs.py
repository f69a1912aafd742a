"""The costs of cases in the audit."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

COSTS = """
SELECT case_id, any(agent) AS agent, sum(cost_microusd) AS microusd, sum(input_tokens + output_tokens) AS tokens,
    max(decided_at) AS at
FROM decisions
WHERE decided_at >= {since:DateTime64(6, 'UTC')}
GROUP BY case_id
HAVING microusd > 0
"""


class CaseCost(NamedTuple):
    """The total cost of the decisions of one case."""

    case_id: str
    agent: str
    microusd: int
    tokens: int
    at: datetime


def case_costs(client: Client, since: datetime) -> list[CaseCost]:
    """Every case since then that has a decision with a cost."""
    rows = client.query(COSTS, parameters={"since": since}).named_results()
    return [CaseCost(**row) for row in rows]
