"""The scenarios by name, in the order in which they are played. Add one here, by hand, and nowhere else."""

from tests.chaos.scenario import Scenario
from tests.chaos.scenarios import broker_away, budget_edge, freeze_storm, kill_storm, poison, rolling_restarts

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        kill_storm.SCENARIO,
        freeze_storm.SCENARIO,
        rolling_restarts.SCENARIO,
        budget_edge.SCENARIO,
        poison.SCENARIO,
        broker_away.SCENARIO,
    )
}
