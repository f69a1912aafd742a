-- Hourly roll-ups; the hour is that in which a case was opened. Nothing in them adds: a whole hour is counted again from
-- the facts, and its rows replace those of an earlier count. So no repetition of a record changes a number.
--
-- A roll-up may be behind its facts, and `hour_states` says so: an hour is open from its last record until it is counted
-- after that. The views `hourly`, `hourly_decisions` and `hourly_steps` read closed hours here and open ones from the facts.
CREATE TABLE IF NOT EXISTS hour_states
(
    `hour`       DateTime('UTC') CODEC(Delta, ZSTD),
    -- When a record of the hour came last, and when the hour was counted last, by the clock of the server.
    `touched_at` SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    `counted_at` SimpleAggregateFunction(max, DateTime64(6, 'UTC'))
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY `hour`;

CREATE MATERIALIZED VIEW IF NOT EXISTS hour_states_of_records TO hour_states AS
SELECT DISTINCT
    toStartOfHour(toDateTime(r.case_at, 'UTC')) AS hour,
    -- The time of the block and not of the statement, because a statement may take longer than an hour stays open.
    nowInBlock64(6) AS touched_at,
    toDateTime64(0, 6, 'UTC') AS counted_at
FROM audit_feed AS r;

CREATE TABLE IF NOT EXISTS hourly_counts
(
    `hour`                    DateTime('UTC') CODEC(Delta, ZSTD),
    `agent`                   LowCardinality(String),
    `event_type`              LowCardinality(String),
    `cases`                   UInt64 CODEC(T64, ZSTD),
    `running`                 UInt64 CODEC(T64, ZSTD),
    `needs_approval`          UInt64 CODEC(T64, ZSTD),
    `deferred`                UInt64 CODEC(T64, ZSTD),
    `waiting`                 UInt64 CODEC(T64, ZSTD),
    `failed`                  UInt64 CODEC(T64, ZSTD),
    `refused`                 UInt64 CODEC(T64, ZSTD),
    `escalated`               UInt64 CODEC(T64, ZSTD),
    `completed`               UInt64 CODEC(T64, ZSTD),
    `dry_run`                 UInt64 CODEC(T64, ZSTD),
    `decisions`               UInt64 CODEC(T64, ZSTD),
    `input_tokens`            Int64 CODEC(T64, ZSTD),
    `output_tokens`           Int64 CODEC(T64, ZSTD),
    `cost_microusd`           Int64 CODEC(T64, ZSTD),
    `completed_cost_microusd` Int64 CODEC(T64, ZSTD),
    `case_ms`                 AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) CODEC(ZSTD),
    `asked`                   UInt64 CODEC(T64, ZSTD),
    `approved`                UInt64 CODEC(T64, ZSTD),
    `edited`                  UInt64 CODEC(T64, ZSTD),
    `rejected`                UInt64 CODEC(T64, ZSTD),
    `expired`                 UInt64 CODEC(T64, ZSTD),
    `reconsidered`            UInt64 CODEC(T64, ZSTD),
    `counted_at`              DateTime64(6, 'UTC'),
    `is_deleted`              UInt8
)
ENGINE = ${replicated}ReplacingMergeTree(`counted_at`, `is_deleted`)
PARTITION BY toYear(`hour`)
ORDER BY (`hour`, `agent`, `event_type`);

CREATE TABLE IF NOT EXISTS hourly_decision_counts
(
    `hour`          DateTime('UTC') CODEC(Delta, ZSTD),
    `agent`         LowCardinality(String),
    `event_type`    LowCardinality(String),
    `action`        LowCardinality(String),
    `disposition`   LowCardinality(String),
    `provider`      LowCardinality(String),
    `model`         LowCardinality(String),
    `decisions`     UInt64 CODEC(T64, ZSTD),
    `confidence`    Map(UInt8, UInt64) CODEC(ZSTD),
    `input_tokens`  Int64 CODEC(T64, ZSTD),
    `output_tokens` Int64 CODEC(T64, ZSTD),
    `cost_microusd` Int64 CODEC(T64, ZSTD),
    `latency_ms`    AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) CODEC(ZSTD),
    `counted_at`    DateTime64(6, 'UTC'),
    `is_deleted`    UInt8
)
ENGINE = ${replicated}ReplacingMergeTree(`counted_at`, `is_deleted`)
PARTITION BY toYear(`hour`)
ORDER BY (`hour`, `agent`, `event_type`, `action`, `disposition`, `provider`, `model`);

CREATE TABLE IF NOT EXISTS hourly_step_counts
(
    `hour`       DateTime('UTC') CODEC(Delta, ZSTD),
    `agent`      LowCardinality(String),
    `handler`    LowCardinality(String),
    `status`     LowCardinality(String),
    `steps`      UInt64 CODEC(T64, ZSTD),
    `calls`      UInt64 CODEC(T64, ZSTD),
    `latency_ms` AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64) CODEC(ZSTD),
    `counted_at` DateTime64(6, 'UTC'),
    `is_deleted` UInt8
)
ENGINE = ${replicated}ReplacingMergeTree(`counted_at`, `is_deleted`)
PARTITION BY toYear(`hour`)
ORDER BY (`hour`, `agent`, `handler`, `status`);

-- The hours of what was stored before are open until they are counted.
INSERT INTO hour_states
SELECT hour, now64(6), toDateTime64(0, 6, 'UTC')
FROM (SELECT DISTINCT hour FROM case_states UNION DISTINCT SELECT DISTINCT hour FROM records_by_kind)
