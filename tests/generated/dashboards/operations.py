"""Operations: whether the stages keep up, what fails, and what is away."""

from tests.generated.dashboards.panels import AGENTS, HOURS, Dashboard, Panel, PromQl, Sql

LATENCY = "histogram_quantile({q}, sum by (stage, le) (rate(nightdesk_record_seconds_bucket[$__rate_interval])))"
OPEN_LETTERS = f"""
SELECT time, stage, subject, agent, error, attempts, dead_letter_id, case_id
FROM dead_letters WHERE state = 'open' AND {AGENTS.replace("agent IN", "ifNull(agent, '') IN")}
ORDER BY time DESC LIMIT 100
"""
CASE_TIMES = f"""
SELECT time, ms[1] AS `half`, ms[2] AS `95 %`, ms[3] AS `99 %`
FROM (
    SELECT hour AS time, quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(case_ms) AS ms
    FROM hourly WHERE {HOURS} AND {AGENTS} AND completed > 0 GROUP BY hour)
ORDER BY time
"""


def _by_stage(title: str, query: str, says: str, unit: str = "short", legend: str = "{{stage}}") -> Panel:
    return Panel(title, "timeseries", (PromQl(query, legend),), says, 8, unit)


OPERATIONS = Dashboard(
    "operations",
    "Operations",
    "Whether the stages keep up, what fails, and what is away. The page of an alert says what to do.",
    "6h",
    (
        Panel(
            "Latency by stage",
            "timeseries",
            (PromQl(LATENCY.format(q="0.5"), "{{stage}} half"), PromQl(LATENCY.format(q="0.95"), "{{stage}} 95 %")),
            "From taking a record until all that it caused is durable, calls to others included.",
            12,
            "s",
        ),
        Panel(
            "How long completed cases took", "timeseries", (Sql(CASE_TIMES),), "From first to last record.", 12, "ms"
        ),
        _by_stage(
            "Lag",
            "sum by (stage, topic) (nightdesk_lag_records)",
            "Offsets that a stage has not read yet.",
            legend="{{stage}} {{topic}}",
        ),
        _by_stage(
            "Records", "sum by (stage) (rate(nightdesk_records_total[$__rate_interval]))", "Records read.", "reqps"
        ),
        _by_stage("In flight", "sum by (stage) (nightdesk_in_flight)", "Records accepted and not yet durable."),
        _by_stage(
            "Dead letters",
            "sum by (stage, error) (increase(nightdesk_dead_letters_total[$__rate_interval]))",
            "Records that could not be processed, by the class of the error.",
            legend="{{stage}} {{error}}",
        ),
        _by_stage(
            "Model calls",
            'sum by (provider, result) (rate(nightdesk_model_calls_total{agent=~"$agent"}[$__rate_interval]))',
            "Questions to models, by what came of them.",
            "reqps",
            "{{provider}} {{result}}",
        ),
        _by_stage(
            "Providers without an answer",
            "sum by (provider, reason) (increase("
            'nightdesk_provider_fallbacks_total{agent=~"$agent"}[$__rate_interval]))',
            "Decisions that another provider or the rules made, and why.",
            legend="{{provider}} {{reason}}",
        ),
        _by_stage(
            "Open circuits",
            "max by (outside) (nightdesk_circuit_open)",
            "1 while calls to a system or a provider wait because it does not answer.",
            legend="{{outside}}",
        ),
        _by_stage(
            "Recovery",
            "sum by (stage) (nightdesk_recovery_remaining_records)",
            "Changelog records to read until a stage's tables are recovered.",
        ),
        _by_stage("Ready", "min by (stage) (nightdesk_ready)", "1 when partitions are assigned and tables recovered."),
        _by_stage(
            "Waiting cases",
            'sum by (stage, cause) (nightdesk_waiting_cases{agent=~"$agent"})',
            "Cases that wait in a queue, by what keeps them.",
            legend="{{stage}} {{cause}}",
        ),
        _by_stage(
            "Oldest approval",
            'max by (agent) (nightdesk_oldest_approval_seconds{agent=~"$agent"})',
            "Age of the oldest decision that waits for a person.",
            "s",
            "{{agent}}",
        ),
        _by_stage(
            "Budget left",
            'min by (agent) (nightdesk_budget_left_usd{agent=~"$agent"})',
            "What an agent may still reserve today.",
            "currencyUSD",
            "{{agent}}",
        ),
        Panel(
            "Into ClickHouse",
            "timeseries",
            (
                PromQl("sum(rate(nightdesk_sink_rows_total[$__rate_interval]))", "rows"),
                PromQl("sum(increase(nightdesk_sink_failures_total[$__rate_interval]))", "failures"),
            ),
            "Rows that the sink wrote, and failed attempts. These dashboards are behind by what it has not written.",
            12,
        ),
        Panel(
            "Since the sink last wrote",
            "stat",
            (PromQl("time() - max(nightdesk_sink_last_landed_timestamp_seconds)"),),
            "It writes when there is something to write.",
            12,
            "s",
        ),
        Panel(
            "Open dead letters",
            "table",
            (Sql(OPEN_LETTERS),),
            "All that nobody has replayed or discarded. The subject leads to the case.",
            24,
            links=True,
        ),
    ),
)
