-- One row for each day (UTC) in which cases were opened, agent, event type and action of the last decision: what the cases
-- cost, and what they saved where they were completed.
--
-- A case saves its baseline if it is completed. An escalation saves nothing, and neither does any other end. Rows can be
-- added up; a budget holds for the whole agent and day, so of that take the greatest.
CREATE OR REPLACE VIEW impact
(
    `day`                 Date                             COMMENT 'day in which the cases were opened, in UTC',
    `agent`               LowCardinality(Nullable(String)) COMMENT 'name of the agent',
    `event_type`          LowCardinality(String)           COMMENT 'type of the event',
    `action`              Nullable(String)                 COMMENT 'action of the last decision; null where nothing was decided',
    `cases`               UInt64                           COMMENT 'number of cases',
    `completed`           UInt64                           COMMENT 'number of cases that are completed',
    `escalated`           UInt64                           COMMENT 'number of cases that a person got',
    `cost_microusd`       Int64                            COMMENT 'cost of the model calls of all cases, in millionths of a US dollar',
    `cost_per_completed_microusd` Nullable(Float64)        COMMENT 'cost of all cases divided by the number of completed ones; null where none is',
    `unanswered_microusd` Int64                            COMMENT 'part of the cost that is for calls without an answer: the most that they may have cost if nobody knows',
    `day_budget_microusd` Int64                            COMMENT 'most that the agent may spend on models in a day, by the charter of the last decision',
    `saved_s`             Int64                            COMMENT 'time of people that completed cases saved, in seconds',
    `saved_microusd`      Int64                            COMMENT 'money that completed cases saved before the cost of models, in millionths of a US dollar'
)
AS SELECT
    toDate(c.hour) AS day,
    c.agent AS agent,
    c.event_type AS event_type,
    c.action AS action,
    count() AS cases,
    countIf(c.status = 'completed') AS completed,
    countIf(c.status = 'escalated') AS escalated,
    sum(c.cost_microusd) AS cost_microusd,
    if(completed = 0, NULL, cost_microusd / completed) AS cost_per_completed_microusd,
    sum(c.unanswered_microusd) AS unanswered_microusd,
    argMax(c.day_budget_microusd, c.last_at) AS day_budget_microusd,
    sumIf(c.baseline_s, c.status = 'completed') AS saved_s,
    sumIf(c.baseline_microusd, c.status = 'completed') AS saved_microusd
FROM cases AS c
GROUP BY day, agent, event_type, action
