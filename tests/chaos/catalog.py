"""The scenarios by name, in the order in which they are played. New scenarios are added here by hand."""

from tests.chaos.scenario import Scenario
from tests.chaos.scenarios import (
    approvals,
    backpressure,
    broker_away,
    budget_edge,
    careless,
    clickhouse_away,
    clock_steps,
    disk,
    disk_full,
    freeze_storm,
    kill_storm,
    liar,
    outside_troubled,
    partition,
    poison,
    rolling_restarts,
    scale,
    slow_broker,
    slow_head,
    stopped,
    timers,
    twins,
)

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        # First, because it needs all workers, and no calls that an earlier scenario left behind.
        stopped.SCENARIO,
        partition.SCENARIO,
        twins.SCENARIO,
        kill_storm.SCENARIO,
        freeze_storm.SCENARIO,
        rolling_restarts.SCENARIO,
        scale.SCENARIO,
        budget_edge.SCENARIO,
        careless.SCENARIO,
        poison.SCENARIO,
        broker_away.SCENARIO,
        disk_full.SCENARIO,
        disk.SCENARIO,
        clock_steps.SCENARIO,
        slow_head.SCENARIO,
        slow_broker.SCENARIO,
        backpressure.SCENARIO,
        clickhouse_away.SCENARIO,
        timers.SCENARIO,
        approvals.SCENARIO,
        liar.SCENARIO,
        # Last, because for a while afterwards the model is not asked.
        outside_troubled.SCENARIO,
    )
}
