-- One row for each hour, agent, type of event, action, disposition, provider and model: the decisions.
--
-- Closed hours are read from the roll-up and open ones from the facts, so the answer is that of all records stored.
-- Which hours are open is asked once for both parts: an hour that changes meanwhile is in exactly one of them.
CREATE OR REPLACE VIEW hourly_decisions
(
    `hour`          DateTime('UTC')        COMMENT 'hour in which the case was opened',
    `agent`         LowCardinality(String) COMMENT 'name of the agent; empty where no record of the case names one',
    `event_type`    LowCardinality(String) COMMENT 'type of the event',
    `action`        LowCardinality(String) COMMENT 'action of the charter that was decided on',
    `disposition`   LowCardinality(String) COMMENT 'what the rules and gates let become of it: execute, needs_approval, dry_run or refused',
    `provider`      LowCardinality(String) COMMENT 'who decided: a model provider, or rules',
    `model`         LowCardinality(String) COMMENT 'model that decided; empty if rules did',
    `decisions`     UInt64                 COMMENT 'decisions',
    `confidence`    Map(UInt8, UInt64)     COMMENT 'decisions by confidence in percent, in steps of 5: sumMap(confidence) adds them up',
    `input_tokens`  Int64                  COMMENT 'tokens that models read',
    `output_tokens` Int64                  COMMENT 'tokens that models wrote',
    `cost_microusd` Int64                  COMMENT 'cost of the model calls, in millionths of a US dollar',
    `latency_ms`    AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) COMMENT 'state: how long the model calls of a decision took, in milliseconds. quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(latency_ms) gives the quantiles'
)
AS WITH (SELECT groupArray(hour) FROM open_hours) AS still_open
SELECT
    hour, agent, event_type, action, disposition, provider, model, decisions, confidence, input_tokens,
    output_tokens, cost_microusd, latency_ms
FROM
(
    SELECT
        hour, agent, event_type, action, disposition, provider, model, decisions, confidence, input_tokens,
        output_tokens, cost_microusd, latency_ms
    FROM hourly_decision_counts FINAL
    WHERE hour NOT IN (SELECT arrayJoin(still_open))
    UNION ALL
    SELECT
        hour, agent, event_type, action, disposition, provider, model, decisions, confidence, input_tokens,
        output_tokens, cost_microusd, latency_ms
    FROM hourly_decisions_recount
    WHERE hour IN (SELECT arrayJoin(still_open))
)
