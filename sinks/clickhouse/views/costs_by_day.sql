-- One row for each agent and day (UTC).
CREATE OR REPLACE VIEW costs_by_day
(
    `day`           Date                             COMMENT 'day, in UTC',
    `agent`         LowCardinality(Nullable(String)) COMMENT 'name of the agent',
    `cases`         UInt64                           COMMENT 'number of cases with a decision on that day',
    `decisions`     UInt64                           COMMENT 'number of decisions',
    `input_tokens`  Int64                            COMMENT 'tokens that models read',
    `output_tokens` Int64                            COMMENT 'tokens that models wrote',
    `cost_microusd` Int64                            COMMENT 'cost of the model calls, in millionths of a US dollar',
    `unanswered_microusd` Int64                      COMMENT 'part of the cost that is for calls without an answer: the most that they may have cost if nobody knows',
    `day_budget_microusd` Int64                      COMMENT 'most that the agent may spend on models in a day, by the charter of the last decision'
)
AS SELECT
    toDate(d.decided_at) AS day,
    d.agent AS agent,
    uniqExact(d.case_id) AS cases,
    count() AS decisions,
    sum(d.input_tokens) AS input_tokens,
    sum(d.output_tokens) AS output_tokens,
    sum(d.cost_microusd) AS cost_microusd,
    sum(d.unanswered_microusd) AS unanswered_microusd,
    argMax(d.day_budget_microusd, d.decided_at) AS day_budget_microusd
FROM decisions AS d
WHERE d.agent IS NOT NULL
GROUP BY day, d.agent
