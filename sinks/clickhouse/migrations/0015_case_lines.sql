-- The records of cases by the hour in which their case was opened, without their texts: what a night is told from, and
-- what bounds are tried on. They are those that `records_by_kind` has not.
CREATE TABLE IF NOT EXISTS case_lines
(
    `hour`                DateTime('UTC') CODEC(Delta, ZSTD),
    `case_id`             String CODEC(ZSTD),
    `record`              UInt64 CODEC(ZSTD),
    `kind`                LowCardinality(String),
    `time`                DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    `subject`             String CODEC(ZSTD),
    `event_source`        LowCardinality(String),
    `event_id`            String CODEC(ZSTD),
    `agent`               LowCardinality(Nullable(String)),
    `step`                Int64 CODEC(T64, ZSTD),
    `status`              LowCardinality(String),
    `reason`              String CODEC(ZSTD),
    `cost_microusd`       Int64 CODEC(T64, ZSTD),
    `unanswered_microusd` Int64 CODEC(T64, ZSTD),
    `model_calls`         Int64 CODEC(T64, ZSTD),
    `baseline_s`          Int64 CODEC(T64, ZSTD),
    `baseline_microusd`   Int64 CODEC(T64, ZSTD),
    `latency_ms`          Int64 CODEC(T64, ZSTD),
    -- What the bounds of anomalies count (`decided_and_acted.py`).
    `low_confidence`      UInt8,
    `undecided`           UInt8,
    `is_refused`          UInt8,
    `has_failed`          UInt8,
    `precedence`          UInt64 CODEC(T64, ZSTD),
    INDEX by_time `time` TYPE minmax GRANULARITY 1,
    INDEX by_subject `subject` TYPE bloom_filter GRANULARITY 1
)
ENGINE = ${replicated}ReplacingMergeTree(`precedence`)
PARTITION BY toYYYYMM(`hour`)
ORDER BY (`hour`, `case_id`, `record`)
SETTINGS index_granularity = 1024;

CREATE MATERIALIZED VIEW IF NOT EXISTS case_lines_of_records TO case_lines AS
WITH r.kind = 'decided' AS is_decision
SELECT
    toStartOfHour(toDateTime(r.case_at, 'UTC')) AS hour,
    assumeNotNull(r.case_id) AS case_id,
    sipHash64(r.record_id) AS record,
    r.kind AS kind,
    r.time AS time,
    r.subject AS subject,
    r.event_source AS event_source,
    r.event_id AS event_id,
    r.agent AS agent,
    r.step AS step,
    r.status AS status,
    r.reason AS reason,
    r.cost_microusd AS cost_microusd,
    if(is_decision, JSONExtractInt(r.detail, 'unanswered_microusd'), 0) AS unanswered_microusd,
    if(is_decision, JSONExtractInt(r.detail, 'model_calls'), 0) AS model_calls,
    if(is_decision, JSONExtractInt(r.detail, 'baseline_s'), 0) AS baseline_s,
    if(is_decision, JSONExtractInt(r.detail, 'baseline_microusd'), 0) AS baseline_microusd,
    r.latency_ms AS latency_ms,
    toUInt8(is_decision AND JSONExtractBool(r.detail, 'low_confidence')) AS low_confidence,
    toUInt8(is_decision AND JSONExtractBool(r.detail, 'undecided')) AS undecided,
    toUInt8(is_decision AND (ifNull(toString(r.disposition), '') = 'refused' OR arrayExists(
        one -> JSONExtractString(one, 'reason') = 'refused', JSONExtractArrayRaw(r.detail, 'fallbacks')))) AS is_refused,
    toUInt8(r.kind = 'acted' AND (r.status = 'failed' OR arrayExists(
        one -> JSONExtractString(one, 'status') IN ('failed', 'unknown', 'undo_failed'),
        JSONExtractArrayRaw(r.detail, 'outcomes')))) AS has_failed,
    bitNot(bitOr(bitShiftLeft(toUInt64(r.incarnation), 48), toUInt64(r.`offset`))) AS precedence
FROM audit_feed AS r
WHERE r.case_id IS NOT NULL AND r.kind IN ('received', 'deferred', 'decided', 'queued', 'acted');

-- What was stored before, in slices, because the earliest time of a case is found by sorting: older versions recorded no
-- other. A case has one subject, so a slice has whole cases.
INSERT INTO case_lines
WITH kind = 'decided' AS is_decision
SELECT
    toStartOfHour(toDateTime(opened_at, 'UTC')), assumeNotNull(case_id), sipHash64(record_id), kind, time, subject,
    event_source, event_id, agent, step, status, reason, cost_microusd,
    if(is_decision, JSONExtractInt(detail, 'unanswered_microusd'), 0),
    if(is_decision, JSONExtractInt(detail, 'model_calls'), 0),
    if(is_decision, JSONExtractInt(detail, 'baseline_s'), 0),
    if(is_decision, JSONExtractInt(detail, 'baseline_microusd'), 0),
    latency_ms,
    toUInt8(is_decision AND JSONExtractBool(detail, 'low_confidence')),
    toUInt8(is_decision AND JSONExtractBool(detail, 'undecided')),
    toUInt8(is_decision AND (ifNull(toString(disposition), '') = 'refused' OR arrayExists(
        one -> JSONExtractString(one, 'reason') = 'refused', JSONExtractArrayRaw(detail, 'fallbacks')))),
    toUInt8(kind = 'acted' AND (status = 'failed' OR arrayExists(
        one -> JSONExtractString(one, 'status') IN ('failed', 'unknown', 'undo_failed'),
        JSONExtractArrayRaw(detail, 'outcomes')))),
    bitNot(bitOr(bitShiftLeft(toUInt64(incarnation), 48), toUInt64(`offset`)))
FROM (
    SELECT
        record_id, kind, time, subject, event_source, event_id, case_id, agent, step, status, reason, cost_microusd, detail,
        latency_ms, disposition, incarnation, `offset`, min(case_at) OVER (PARTITION BY subject, case_id) AS opened_at
    FROM audit_records FINAL
    WHERE sipHash64(subject) % ${slices} = ${slice} AND case_id IS NOT NULL
)
WHERE kind IN ('received', 'deferred', 'decided', 'queued', 'acted')
SETTINGS max_partitions_per_insert_block = 0
