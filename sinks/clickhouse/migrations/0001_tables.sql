-- Every audit record with its place on the topic. Readers take the view `records`, never this table: until ClickHouse
-- has merged its parts, a record may be here twice. ReplacingMergeTree keeps the row with the highest `precedence`, which
-- is the one with the lowest offset: of two records with one id the first counts.
CREATE TABLE IF NOT EXISTS audit_records
(
    `record_id`       String CODEC(ZSTD),
    `kind`            LowCardinality(String),
    `time`            DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    `subject`         String CODEC(ZSTD),
    `event_id`        String CODEC(ZSTD),
    `event_source`    LowCardinality(String),
    `event_type`      LowCardinality(String),
    `case_id`         Nullable(String) CODEC(ZSTD),
    `agent`           LowCardinality(Nullable(String)),
    `charter_version` LowCardinality(Nullable(String)),
    `step`            Int64 CODEC(T64, ZSTD),
    `decision_id`     Nullable(String) CODEC(ZSTD),
    `action`          LowCardinality(Nullable(String)),
    `confidence`      Nullable(Float64),
    `disposition`     LowCardinality(Nullable(String)),
    `status`          LowCardinality(String),
    `provider`        LowCardinality(Nullable(String)),
    `model`           LowCardinality(Nullable(String)),
    `input_tokens`    Int64 CODEC(T64, ZSTD),
    `output_tokens`   Int64 CODEC(T64, ZSTD),
    `cost_microusd`   Int64 CODEC(T64, ZSTD),
    `latency_ms`      Int64 CODEC(T64, ZSTD),
    `traceparent`     Nullable(String) CODEC(ZSTD),
    `reason`          String CODEC(ZSTD),
    `detail`          String CODEC(ZSTD(3)),
    `topic`           LowCardinality(String),
    `partition`       Int32 CODEC(T64, ZSTD),
    `offset`          Int64 CODEC(T64, ZSTD),
    `precedence`      UInt64 MATERIALIZED bitNot(toUInt64(`offset`)) CODEC(T64, ZSTD),
    INDEX by_event_id `event_id` TYPE bloom_filter GRANULARITY 1,
    INDEX by_case_id `case_id` TYPE bloom_filter GRANULARITY 1,
    INDEX by_decision_id `decision_id` TYPE bloom_filter GRANULARITY 1,
    INDEX by_offset `offset` TYPE minmax GRANULARITY 1
)
ENGINE = ${replicated}ReplacingMergeTree(`precedence`)
PARTITION BY toYYYYMM(`time`)
ORDER BY (`subject`, `record_id`)
SETTINGS non_replicated_deduplication_window = 1000
