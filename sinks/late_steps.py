"""Reads from the audit the steps whose call started after an order to stop."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

SHOWN_AT_MOST = 1000
# A step that came from the cache or needed no call has no attempts.
LATE = """
SELECT agent, subject, case_id, decision_id, step_id, handler, status, started_at
FROM steps
WHERE attempts > 0
    AND started_at > {after:DateTime64(6, 'UTC')} AND recorded_at > {after:DateTime64(6, 'UTC')}
    AND ({agent:String} = '*' OR agent = {agent:String})
    AND ({escalations:Bool} OR decision_id NOT IN (SELECT decision_id FROM decisions WHERE kind = 'escalate'))
ORDER BY started_at
LIMIT {at_most:UInt32}
"""


class LateStep(NamedTuple):
    """A call, and when it started by its worker's clock."""

    agent: str
    subject: str
    case_id: str
    decision_id: str
    step_id: str
    handler: str
    status: str
    started_at: datetime


def late_steps(client: Client, agent: str, after: datetime, *, escalations: bool) -> list[LateStep]:
    """The calls of the agent (`*`: of every agent) that started after `after`, the earliest first. Without
    `escalations`, their calls are left out, because the order lets them pass.
    """
    asked = {"agent": agent, "after": after, "escalations": escalations, "at_most": SHOWN_AT_MOST}
    return [LateStep(**row) for row in client.query(LATE, parameters=asked).named_results()]
