-- One row for each case: the handling of one event by one agent.
--
-- The status is that of the record that is furthest in the case (by step, then by its kind's place in the lifecycle). A
-- dead letter overrides every record before it, and is overridden by what was done after it was replayed.
CREATE OR REPLACE VIEW cases
(
    `subject`         String              COMMENT 'what the event is about, as the producer named it',
    `case_id`         Nullable(String)    COMMENT 'id of the case',
    `event_source`    LowCardinality(String) COMMENT 'system that the event came from',
    `event_id`        String              COMMENT 'id of the event, unique within its source',
    `event_type`      LowCardinality(String) COMMENT 'type of the event',
    `agent`           LowCardinality(Nullable(String)) COMMENT 'name of the agent',
    `charter_version` Nullable(String)    COMMENT 'version of the charter that the case is handled by: a digest of its content',
    `status`          String              COMMENT 'running, completed, escalated, waiting, needs_approval, deferred, refused, failed or dry_run',
    `reason`          String              COMMENT 'reason for the status, for people',
    `action`          Nullable(String)    COMMENT 'action of the last decision',
    `confidence`      Nullable(Float64)   COMMENT 'confidence of the last decision, from 0 to 1',
    `disposition`     Nullable(String)    COMMENT 'what the rules and gates let become of the last decision: execute, needs_approval, dry_run or refused',
    `decisions`       UInt64              COMMENT 'number of decisions: one for each step of the case',
    `input_tokens`    Int64               COMMENT 'tokens that models read, over all decisions',
    `output_tokens`   Int64               COMMENT 'tokens that models wrote, over all decisions',
    `cost_microusd`   Int64               COMMENT 'cost of all model calls, in millionths of a US dollar',
    `unanswered_microusd` Int64           COMMENT 'part of the cost that is for calls without an answer: the most that they may have cost if nobody knows',
    `baseline_s`      Int64               COMMENT 'time that the case takes a person, in seconds, by the charter of the last decision; 0 if it says nothing',
    `baseline_microusd` Int64             COMMENT 'cost of the case where a person handles it, by the charter of the last decision',
    `day_budget_microusd` Int64           COMMENT 'most that the agent may spend on models in a day, by the charter of the last decision',
    `received_at`     DateTime64(6, 'UTC') COMMENT 'time of the first record of the case',
    `last_at`         DateTime64(6, 'UTC') COMMENT 'time of the last record of the case',
    `traceparent`     Nullable(String)    COMMENT 'trace of the event, as a W3C traceparent',
    `hour`            DateTime('UTC')     COMMENT 'hour in which the case was opened: the first key of the table'
)
AS WITH
    c.has_dead_letter AND c.dead_at >= c.revived_at AS is_dead,
    finalizeAggregation(c.furthest) AS furthest,
    finalizeAggregation(c.decided) AS decided,
    finalizeAggregation(c.measures) AS measures
SELECT
    c.subject AS subject,
    toNullable(c.case_id) AS case_id,
    c.event_source AS event_source,
    c.event_id AS event_id,
    c.event_type AS event_type,
    nullIf(c.agent, '') AS agent,
    nullIf(finalizeAggregation(c.charter), '') AS charter_version,
    if(is_dead, 'failed', furthest.1) AS status,
    if(is_dead, finalizeAggregation(c.dead_reason), furthest.2) AS reason,
    decided.1 AS action,
    decided.2 AS confidence,
    decided.3 AS disposition,
    length(c.costs) AS decisions,
    arraySum(mapValues(c.input_tokens)) AS input_tokens,
    arraySum(mapValues(c.output_tokens)) AS output_tokens,
    arraySum(mapValues(c.costs)) AS cost_microusd,
    arraySum(mapValues(c.unanswered)) AS unanswered_microusd,
    measures.1 AS baseline_s,
    measures.2 AS baseline_microusd,
    measures.3 AS day_budget_microusd,
    c.first_at AS received_at,
    c.last_at AS last_at,
    nullIf(c.traceparent, '') AS traceparent,
    c.hour AS hour
FROM case_states AS c FINAL
