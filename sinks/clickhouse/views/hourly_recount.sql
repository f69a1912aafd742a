-- One row for each hour, agent and type of event: how the cases of the hour ended, what they cost, and how
-- approvals ended. Counted from the
-- facts whenever it is read: the view `hourly` has the same rows, and reads less.
CREATE OR REPLACE VIEW hourly_recount
(
    `hour`                    DateTime('UTC')        COMMENT 'hour in which the case was opened',
    `agent`                   LowCardinality(String) COMMENT 'name of the agent; empty where no record of the case names one',
    `event_type`              LowCardinality(String) COMMENT 'type of the event',
    `cases`                   UInt64                 COMMENT 'cases: those of all statuses together',
    `running`                 UInt64                 COMMENT 'cases that are worked on',
    `needs_approval`          UInt64                 COMMENT 'cases that wait for a person\'s answer',
    `deferred`                UInt64                 COMMENT 'cases that wait for room under a limit, for money or for a model',
    `waiting`                 UInt64                 COMMENT 'cases that wait for something else',
    `failed`                  UInt64                 COMMENT 'cases that failed, with those that have an open dead letter',
    `refused`                 UInt64                 COMMENT 'cases that a limit or the budget refused',
    `escalated`               UInt64                 COMMENT 'cases that a person got',
    `completed`               UInt64                 COMMENT 'cases whose action was executed',
    `dry_run`                 UInt64                 COMMENT 'cases that would have been executed',
    `decisions`               UInt64                 COMMENT 'decisions: one for each step of a case',
    `input_tokens`            Int64                  COMMENT 'tokens that models read',
    `output_tokens`           Int64                  COMMENT 'tokens that models wrote',
    `cost_microusd`           Int64                  COMMENT 'cost of the model calls, in millionths of a US dollar',
    `completed_cost_microusd` Int64                  COMMENT 'cost of the completed cases alone, in millionths of a US dollar',
    `case_ms`                 AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) COMMENT 'state: how long completed cases took from first to last record, in milliseconds. quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(case_ms) gives the quantiles',
    `asked`                   UInt64                 COMMENT 'decisions that a person was asked to approve',
    `approved`                UInt64                 COMMENT 'decisions that a person approved',
    `edited`                  UInt64                 COMMENT 'decisions that a person approved with other parameters',
    `rejected`                UInt64                 COMMENT 'decisions that a person rejected',
    `expired`                 UInt64                 COMMENT 'decisions that nobody answered in time',
    `reconsidered`            UInt64                 COMMENT 'decisions that a newer event took back',
    `unanswered_microusd`     Int64                  COMMENT 'part of the cost that is for calls without an answer: the most that they may have cost if nobody knows',
    `saved_s`                 Int64                  COMMENT 'time of people that completed cases saved, in seconds, by the baselines of their charters',
    `saved_microusd`          Int64                  COMMENT 'money that completed cases saved before the cost of models, in millionths of a US dollar',
    `open_approvals`          UInt64                 COMMENT 'decisions that wait for a person\'s answer'
)
AS SELECT
    hour,
    agent,
    event_type,
    countIf(is_case) AS cases,
    countIf(status = 'running') AS running,
    countIf(status = 'needs_approval') AS needs_approval,
    countIf(status = 'deferred') AS deferred,
    countIf(status = 'waiting') AS waiting,
    countIf(status = 'failed') AS failed,
    countIf(status = 'refused') AS refused,
    countIf(status = 'escalated') AS escalated,
    countIf(status = 'completed') AS completed,
    countIf(status = 'dry_run') AS dry_run,
    sum(one.decisions) AS decisions,
    sum(one.input_tokens) AS input_tokens,
    sum(one.output_tokens) AS output_tokens,
    sum(one.cost_microusd) AS cost_microusd,
    sumIf(one.cost_microusd, status = 'completed') AS completed_cost_microusd,
    quantilesDDStateIf(0.01, 0.5, 0.95, 0.99)(took_ms, status = 'completed') AS case_ms,
    countIf(verdict = 'asked') AS asked,
    countIf(verdict = 'approve') AS approved,
    countIf(verdict = 'edit') AS edited,
    countIf(verdict = 'reject') AS rejected,
    countIf(verdict = 'expire') AS expired,
    countIf(verdict = 'reconsider') AS reconsidered,
    sum(one.unanswered_microusd) AS unanswered_microusd,
    sumIf(one.baseline_s, status = 'completed') AS saved_s,
    sumIf(one.baseline_microusd, status = 'completed') AS saved_microusd,
    countIf(verdict = 'open') AS open_approvals
FROM
(
    SELECT
        hour, ifNull(toString(agent), '') AS agent, toString(event_type) AS event_type, true AS is_case, status,
        decisions, input_tokens, output_tokens, cost_microusd, unanswered_microusd, baseline_s, baseline_microusd,
        toFloat64(dateDiff('millisecond', received_at, last_at)) AS took_ms, '' AS verdict
    FROM cases
    UNION ALL
    -- A decision counts once for each verdict, however often a person was asked or reminded.
    SELECT
        hour, ifNull(toString(agent), '') AS agent, toString(event_type) AS event_type, false, '', 0, 0, 0, 0, 0, 0, 0, 0,
        JSONExtractString(detail, 'verdict') AS verdict
    FROM records_by_kind
    WHERE kind = 'approval' AND case_id IS NOT NULL AND (verdict = 'asked' OR JSONExtractBool(detail, 'counts'))
    GROUP BY hour, agent, event_type, decision_id, verdict
    UNION ALL
    -- As `nightdesk approvals list` looks for them: nobody answered after the last request or reminder.
    SELECT
        hour, ifNull(toString(agent), '') AS agent, toString(event_type) AS event_type, false, '', 0, 0, 0, 0, 0, 0, 0, 0,
        'open' AS verdict
    FROM records_by_kind
    WHERE kind = 'approval' AND case_id IS NOT NULL
    GROUP BY hour, agent, event_type, decision_id
    HAVING maxIf(time, status = 'needs_approval') > maxIf(time, status != 'needs_approval')
) AS one
GROUP BY hour, agent, event_type
