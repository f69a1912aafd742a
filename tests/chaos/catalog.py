"""The scenarios by name, in the order in which they are played. Add one here, by hand, and nowhere else."""

from tests.chaos.scenario import Scenario
from tests.chaos.scenarios import (
    approvals,
    backpressure,
    broker_away,
    budget_edge,
    clickhouse_away,
    freeze_storm,
    kill_storm,
    outside_troubled,
    poison,
    rolling_restarts,
    slow_broker,
    slow_head,
    timers,
)

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        kill_storm.SCENARIO,
        freeze_storm.SCENARIO,
        rolling_restarts.SCENARIO,
        budget_edge.SCENARIO,
        poison.SCENARIO,
        broker_away.SCENARIO,
        slow_head.SCENARIO,
        slow_broker.SCENARIO,
        backpressure.SCENARIO,
        clickhouse_away.SCENARIO,
        timers.SCENARIO,
        approvals.SCENARIO,
        outside_troubled.SCENARIO,
    )
}
