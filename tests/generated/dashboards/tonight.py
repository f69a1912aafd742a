"""Tonight: what the agents did, what waits for people, what it cost and saved."""

from tests.generated.dashboards.panels import AGENTS, HOURS, Dashboard, Panel, Sql

OF_HOURS = f"FROM hourly WHERE {HOURS} AND {AGENTS}"
WAITS = "needs_approval + waiting + deferred"


def _number(title: str, value: str, says: str, unit: str = "short") -> Panel:
    return Panel(title, "stat", (Sql(f"SELECT {value} AS value {OF_HOURS}"),), says, 3, unit)


TREND = f"""
SELECT hour AS time, sum(completed) AS completed, sum(escalated) AS escalated, sum(failed) AS failed,
    sum({WAITS}) AS waiting, sum(refused) AS refused
{OF_HOURS} GROUP BY hour ORDER BY time
"""
THIS_WEEK = f"SELECT hour AS time, sum(cases) AS `this week` {OF_HOURS} GROUP BY hour ORDER BY time"
A_WEEK_BEFORE = f"""
SELECT hour + INTERVAL 7 DAY AS time, sum(cases) AS `a week before` FROM hourly
WHERE hour >= toStartOfHour($__fromTime - INTERVAL 7 DAY) AND hour <= $__toTime - INTERVAL 7 DAY AND {AGENTS}
GROUP BY hour ORDER BY time
"""
FOR_PEOPLE = f"""
SELECT received_at, subject, agent, action, status, reason, case_id
FROM cases WHERE {HOURS} AND {AGENTS} AND status IN ('needs_approval', 'failed')
ORDER BY status DESC, received_at LIMIT 100
"""
BY_TASK = f"""
SELECT agent, event_type, sum(cases) AS cases, sum(completed) AS completed, sum(escalated) AS escalated,
    sum({WAITS}) AS waiting, sum(failed) AS failed, sum(cost_microusd) / 1e6 AS cost
{OF_HOURS} GROUP BY agent, event_type ORDER BY cases DESC
"""

TONIGHT = Dashboard(
    "tonight",
    "Tonight",
    "What the agents did in the night. A case counts in the hour in which it was opened.",
    "14h",
    (
        _number("Cases", "sum(cases)", "All cases that were opened in the time shown."),
        _number("Completed", "sum(completed)", "Cases whose action was executed."),
        _number("Escalated", "sum(escalated)", "Cases that a person got."),
        _number("Waiting", f"sum({WAITS})", "Cases that wait: for a person, a timer, a system, a limit or money."),
        _number("Failed", "sum(failed)", "Cases that failed, with those that have an open dead letter."),
        _number("Spent", "sum(cost_microusd) / 1e6", "Cost of the model calls.", "currencyUSD"),
        _number("Time saved", "sum(saved_s)", "Completed cases, by the baselines of their charters.", "dtdurations"),
        _number(
            "Money saved", "sum(saved_microusd) / 1e6", "The same in money, before the cost of models.", "currencyUSD"
        ),
        Panel(
            "How cases of the last day ended",
            "timeseries",
            (Sql(TREND),),
            "By the hour in which they were opened.",
            12,
            span="24h",
            stacked=True,
        ),
        Panel(
            "Cases beside those of a week before",
            "timeseries",
            (Sql(THIS_WEEK), Sql(A_WEEK_BEFORE)),
            "The last day, hour by hour, and the same hours a week earlier.",
            12,
            span="24h",
        ),
        Panel(
            "Needs a person",
            "table",
            (Sql(FOR_PEOPLE),),
            "Decisions of the last week that wait for approval, and cases that failed. The subject leads to the case.",
            14,
            span="7d",
            links=True,
        ),
        Panel(
            "By agent and type of event",
            "table",
            (Sql(BY_TASK),),
            "What came, and what became of it.",
            10,
            units={"cost": "currencyUSD"},
        ),
    ),
)
