-- One row for each hour, agent, handler and status: the steps of playbooks.
--
-- Closed hours are read from the roll-up and open ones from the facts, so the answer is that of all records stored.
-- Which hours are open is asked once for both parts: an hour that changes meanwhile is in exactly one of them.
CREATE OR REPLACE VIEW hourly_steps
(
    `hour`       DateTime('UTC')        COMMENT 'hour in which the case was opened',
    `agent`      LowCardinality(String) COMMENT 'name of the agent; empty where no record of the case names one',
    `handler`    LowCardinality(String) COMMENT 'handler that ran',
    `status`     LowCardinality(String) COMMENT 'done, failed, unknown, skipped, undone, undo_failed or would_have',
    `steps`      UInt64                 COMMENT 'steps of playbooks',
    `calls`      UInt64                 COMMENT 'calls that were made, with repeated ones',
    `latency_ms` AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) COMMENT 'state: how long a step took, in milliseconds. quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(latency_ms) gives the quantiles'
)
AS WITH (SELECT groupArray(hour) FROM open_hours) AS still_open
SELECT
    hour, agent, handler, status, steps, calls, latency_ms
FROM
(
    SELECT
        hour, agent, handler, status, steps, calls, latency_ms
    FROM hourly_step_counts FINAL
    WHERE hour NOT IN (SELECT arrayJoin(still_open))
    UNION ALL
    SELECT
        hour, agent, handler, status, steps, calls, latency_ms
    FROM hourly_steps_recount
    WHERE hour IN (SELECT arrayJoin(still_open))
)
