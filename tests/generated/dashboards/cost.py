"""Cost: by agent, type of event and model, beside the budget and beside what people would have cost."""

from tests.generated.dashboards.panels import AGENTS, HOURS, Dashboard, Panel, Sql

OF_HOURS = f"FROM hourly AS h WHERE {HOURS} AND {AGENTS}"
USD = "sum(h.cost_microusd) / 1e6"
PER_COMPLETED = f"{USD} / nullIf(sum(h.completed), 0)"


def _number(title: str, value: str, says: str, unit: str = "currencyUSD") -> Panel:
    return Panel(title, "stat", (Sql(f"SELECT {value} AS value {OF_HOURS}"),), says, 4, unit)


BY_AGENT = f"SELECT hour AS time, agent, {USD} AS usd {OF_HOURS} GROUP BY hour, agent ORDER BY time, agent"
BY_TASK = f"""
SELECT agent, event_type, sum(h.cases) AS cases, sum(h.completed) AS completed, {USD} AS cost,
    {PER_COMPLETED} AS `per completed case`, sum(h.unanswered_microusd) / 1e6 AS `without an answer`,
    sum(h.saved_microusd) / 1e6 AS saved, sum(h.saved_s) AS `time saved`
{OF_HOURS} GROUP BY agent, event_type ORDER BY cost DESC
"""
BY_MODEL = f"""
SELECT provider, model, sum(h.decisions) AS decisions, sum(h.input_tokens) AS `tokens in`,
    sum(h.output_tokens) AS `tokens out`, {USD} AS cost, {USD} / sum(h.decisions) AS `per decision`
FROM hourly_decisions AS h WHERE {HOURS} AND {AGENTS} GROUP BY provider, model ORDER BY cost DESC
"""
MODELS_OVER_TIME = f"""
SELECT hour AS time, concat(provider, ' ', model) AS name, {USD} AS usd
FROM hourly_decisions AS h WHERE {HOURS} AND {AGENTS} GROUP BY hour, name ORDER BY time, name
"""
BUDGET = f"""
SELECT toDateTime(day) AS time, agent, cost_microusd / 1e6 AS spent, day_budget_microusd / 1e6 AS budget,
    spent / nullIf(budget, 0) AS share
FROM (
    SELECT toDate(hour) AS day, agent, sum(cost_microusd) AS cost_microusd,
        argMax(day_budget_microusd, decided_at) AS day_budget_microusd
    FROM decisions WHERE {HOURS} AND {AGENTS} GROUP BY day, agent)
ORDER BY time DESC, agent
"""
BASELINE = f"""
SELECT toDateTime(toDate(hour)) AS time, {USD} AS `spent on models`,
    sum(h.saved_microusd) / 1e6 AS `cost of people, saved`
{OF_HOURS} GROUP BY time ORDER BY time
"""

COST = Dashboard(
    "cost",
    "Cost",
    "What the agents cost and what they save. A case counts in the hour in which it was opened.",
    "7d",
    (
        _number("Spent", USD, "Cost of the model calls."),
        _number("Per completed case", PER_COMPLETED, "Cost of all cases divided by the number of completed ones."),
        _number(
            "Without an answer",
            "sum(h.unanswered_microusd) / 1e6",
            "Part of the cost that is for calls without an answer; the most that they may have cost if nobody knows.",
        ),
        _number(
            "Money saved",
            "sum(h.saved_microusd) / 1e6",
            "Baselines of completed cases, by the charters that decided; escalations save nothing.",
        ),
        _number("Time saved", "sum(h.saved_s)", "The same in time of people.", "dtdurations"),
        _number(
            "Saved after cost", "(sum(h.saved_microusd) - sum(h.cost_microusd)) / 1e6", "Money saved less the cost."
        ),
        Panel(
            "By agent",
            "timeseries",
            (Sql(BY_AGENT),),
            "Cost of the model calls, by hour.",
            12,
            "currencyUSD",
            stacked=True,
        ),
        Panel(
            "By model",
            "timeseries",
            (Sql(MODELS_OVER_TIME),),
            "Cost of the model calls, by hour.",
            12,
            "currencyUSD",
            stacked=True,
        ),
        Panel(
            "By agent and type of event",
            "table",
            (Sql(BY_TASK),),
            "What each kind of task cost and saved.",
            24,
            units={
                "cost": "currencyUSD",
                "per completed case": "currencyUSD",
                "without an answer": "currencyUSD",
                "saved": "currencyUSD",
                "time saved": "dtdurations",
            },
        ),
        Panel(
            "Models",
            "table",
            (Sql(BY_MODEL),),
            "Who decided, and what it cost.",
            12,
            units={"cost": "currencyUSD", "per decision": "currencyUSD"},
        ),
        Panel(
            "Beside the budget",
            "table",
            (Sql(BUDGET),),
            "By UTC day; a budget is that of the charter's own day, by the last decision.",
            12,
            units={"spent": "currencyUSD", "budget": "currencyUSD", "share": "percentunit"},
        ),
        Panel(
            "Beside people",
            "timeseries",
            (Sql(BASELINE),),
            "By day: what models cost, and what completed cases saved.",
            24,
            "currencyUSD",
        ),
    ),
)
