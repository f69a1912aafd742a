-- One row for each hour, agent, handler and status: the steps of playbooks. Counted from the
-- facts whenever it is read: the view `hourly_steps` has the same rows, and reads less.
CREATE OR REPLACE VIEW hourly_steps_recount
(
    `hour`       DateTime('UTC')        COMMENT 'hour in which the case was opened',
    `agent`      LowCardinality(String) COMMENT 'name of the agent; empty where no record of the case names one',
    `handler`    LowCardinality(String) COMMENT 'handler that ran',
    `status`     LowCardinality(String) COMMENT 'done, failed, unknown, skipped, undone, undo_failed or would_have',
    `steps`      UInt64                 COMMENT 'steps of playbooks',
    `calls`      UInt64                 COMMENT 'calls that were made, with repeated ones',
    `latency_ms` AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) COMMENT 'state: how long a step took, in milliseconds. quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(latency_ms) gives the quantiles'
)
AS SELECT
    s.hour AS hour,
    ifNull(toString(s.agent), '') AS agent,
    s.handler AS handler,
    s.status AS status,
    count() AS steps,
    toUInt64(sum(s.attempts)) AS calls,
    quantilesDDState(0.01, 0.5, 0.95, 0.99)(toFloat64(s.latency_ms)) AS latency_ms
FROM steps AS s
GROUP BY hour, agent, handler, status
