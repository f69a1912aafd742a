"""Quality: how sure decisions are, what stops them, what people think of them, and whether actions work."""

from tests.generated.dashboards.panels import AGENTS, HOURS, Dashboard, Panel, PromQl, Sql

CONFIDENCE = f"""
SELECT concat(toString(percent), ' %') AS confidence, sum(decisions) AS decisions
FROM (SELECT sumMap(confidence) AS counted FROM hourly_decisions WHERE {HOURS} AND {AGENTS})
ARRAY JOIN mapKeys(counted) AS percent, mapValues(counted) AS decisions
GROUP BY percent ORDER BY percent
"""
DISPOSITIONS = f"""
SELECT hour AS time, disposition, sum(decisions) AS decisions
FROM hourly_decisions WHERE {HOURS} AND {AGENTS} GROUP BY hour, disposition ORDER BY time, disposition
"""
LOW_CONFIDENCE = 'sum by (agent, action) (increase(nightdesk_low_confidence_executed_total{agent=~"$agent"}[$__range]))'
LEAST_SURE = f"""
SELECT decided_at, subject, agent, action, confidence, provider, model, case_id
FROM decisions WHERE {HOURS} AND {AGENTS} AND disposition = 'execute' AND confidence IS NOT NULL
ORDER BY confidence, decided_at DESC LIMIT 50
"""
RULES = f"""
SELECT JSONExtractString(verdict, 'rule') AS rule, agent, uniqExact(decision_id) AS decisions,
    any(JSONExtractString(verdict, 'reason')) AS for_example
FROM decisions ARRAY JOIN JSONExtractArrayRaw(verdicts) AS verdict
WHERE {HOURS} AND {AGENTS} AND NOT JSONExtractBool(verdict, 'passed')
GROUP BY rule, agent ORDER BY decisions DESC
"""
APPROVALS = f"""
SELECT hour AS time, sum(asked) AS asked, sum(approved) AS approved, sum(edited) AS edited, sum(rejected) AS rejected,
    sum(expired) AS expired, sum(reconsidered) AS `taken back`
FROM hourly WHERE {HOURS} AND {AGENTS} GROUP BY hour ORDER BY time
"""
APPROVAL_ENDS = f"""
SELECT agent, sum(h.asked) AS asked, sum(h.approved) AS approved, sum(h.edited) AS edited, sum(h.rejected) AS rejected,
    sum(h.expired) AS expired, sum(h.reconsidered) AS `taken back`,
    (sum(h.approved) + sum(h.edited)) / nullIf(sum(h.approved) + sum(h.edited) + sum(h.rejected), 0) AS `approved share`
FROM hourly AS h WHERE {HOURS} AND {AGENTS} GROUP BY agent ORDER BY agent
"""
ACTIONS = f"""
SELECT agent, action, countIf(status = 'completed') AS completed, countIf(status = 'failed') AS failed,
    countIf(status = 'escalated') AS escalated, completed / nullIf(completed + failed, 0) AS success
FROM cases WHERE {HOURS} AND {AGENTS} AND action IS NOT NULL GROUP BY agent, action ORDER BY agent, action
"""
STEPS = f"""
SELECT handler, sum(steps) AS all_steps, sumIf(steps, status = 'done') / sum(steps) AS success,
    sumIf(steps, status = 'failed') AS failed, sumIf(steps, status = 'unknown') AS unknown,
    sumIf(steps, status = 'undone') AS undone, sumIf(steps, status = 'undo_failed') AS undo_failed
FROM hourly_steps WHERE {HOURS} AND {AGENTS} GROUP BY handler ORDER BY handler
"""

QUALITY = Dashboard(
    "quality",
    "Quality",
    "How sure the agents are, what keeps their decisions from being executed, and whether actions work.",
    "7d",
    (
        Panel("Confidence", "barchart", (Sql(CONFIDENCE),), "Decisions by confidence, in steps of five percent.", 12),
        Panel(
            "What the gates let become of decisions",
            "timeseries",
            (Sql(DISPOSITIONS),),
            "execute, needs_approval, refused or dry_run, by hour.",
            12,
            stacked=True,
        ),
        Panel(
            "Executed with low confidence",
            "table",
            (PromQl(LOW_CONFIDENCE),),
            "Decisions that may be executed although their confidence is below what their action needs.",
            8,
        ),
        Panel(
            "Least sure of what was executed",
            "table",
            (Sql(LEAST_SURE),),
            "The subject leads to the case.",
            16,
            units={"confidence": "percentunit"},
            links=True,
        ),
        Panel(
            "Rules that stop",
            "table",
            (Sql(RULES),),
            "Rules that decisions did not satisfy, the most frequent first.",
            12,
        ),
        Panel(
            "How actions ended",
            "table",
            (Sql(ACTIONS),),
            "By the action of the last decision of each case.",
            12,
            units={"success": "percentunit"},
        ),
        Panel(
            "Approvals",
            "timeseries",
            (Sql(APPROVALS),),
            "Decisions that a person was asked to approve, and how they ended; by the hour of the case.",
            12,
        ),
        Panel(
            "How approvals ended",
            "table",
            (Sql(APPROVAL_ENDS),),
            "Shares are of those that a person answered.",
            12,
            units={"approved share": "percentunit"},
        ),
        Panel(
            "Handlers",
            "table",
            (Sql(STEPS),),
            "Steps of playbooks. Unknown: the call was sent, and nobody knows more.",
            24,
            units={"success": "percentunit"},
        ),
    ),
)
