-- One row for each hour, agent, type of event, action, disposition, provider and model: the decisions. Counted from the
-- facts whenever it is read: the view `hourly_decisions` has the same rows, and reads less.
CREATE OR REPLACE VIEW hourly_decisions_recount
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
AS SELECT
    d.hour AS hour,
    ifNull(toString(d.agent), '') AS agent,
    d.event_type AS event_type,
    ifNull(toString(d.action), '') AS action,
    ifNull(toString(d.disposition), '') AS disposition,
    ifNull(toString(d.provider), '') AS provider,
    ifNull(toString(d.model), '') AS model,
    count() AS decisions,
    sumMapIf(map(toUInt8(floor(ifNull(d.confidence, 0) * 20) * 5), toUInt64(1)), d.confidence IS NOT NULL) AS confidence,
    sum(d.input_tokens) AS input_tokens,
    sum(d.output_tokens) AS output_tokens,
    sum(d.cost_microusd) AS cost_microusd,
    quantilesDDState(0.01, 0.5, 0.95, 0.99)(toFloat64(d.latency_ms)) AS latency_ms
FROM decisions AS d
GROUP BY hour, agent, event_type, action, disposition, provider, model
