-- One row for each question to a model, with its texts, which have a limit of their own.
CREATE TABLE IF NOT EXISTS model_call_facts
(
    `hour`            DateTime('UTC') CODEC(Delta, ZSTD),
    `record_id`       String CODEC(ZSTD),
    `subject`         String CODEC(ZSTD),
    `case_id`         Nullable(String) CODEC(ZSTD),
    `agent`           LowCardinality(Nullable(String)),
    `charter_version` LowCardinality(Nullable(String)),
    `step`            Int64 CODEC(T64, ZSTD),
    `attempt`         Int64 CODEC(T64, ZSTD),
    `asked_at`        DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    `answered`        UInt8,
    `provider`        LowCardinality(Nullable(String)),
    `model`           LowCardinality(Nullable(String)),
    `stop_reason`     LowCardinality(String),
    `request_id`      String CODEC(ZSTD),
    `prompt_sha256`   String CODEC(ZSTD),
    `input_tokens`    Int64 CODEC(T64, ZSTD),
    `output_tokens`   Int64 CODEC(T64, ZSTD),
    `cost_microusd`   Int64 CODEC(T64, ZSTD),
    `unanswered_microusd` Int64 CODEC(T64, ZSTD),
    `latency_ms`      Int64 CODEC(T64, ZSTD),
    `fallbacks`       String CODEC(ZSTD(3)),
    `prompt`          String CODEC(ZSTD(3)),
    `reply`           String CODEC(ZSTD(3)),
    `precedence`      UInt64 CODEC(T64, ZSTD),
    INDEX by_subject `subject` TYPE bloom_filter GRANULARITY 1
)
ENGINE = ${replicated}ReplacingMergeTree(`precedence`)
PARTITION BY toYYYYMM(`hour`)
ORDER BY (`hour`, `record_id`)
SETTINGS index_granularity = 1024;

CREATE MATERIALIZED VIEW IF NOT EXISTS model_call_facts_of_records TO model_call_facts AS
SELECT
    toStartOfHour(toDateTime(r.case_at, 'UTC')) AS hour,
    r.record_id AS record_id,
    r.subject AS subject,
    r.case_id AS case_id,
    r.agent AS agent,
    r.charter_version AS charter_version,
    r.step AS step,
    JSONExtractInt(r.detail, 'attempt') AS attempt,
    r.time AS asked_at,
    toUInt8(JSONExtractBool(r.detail, 'answered')) AS answered,
    r.provider AS provider,
    r.model AS model,
    JSONExtractString(r.detail, 'stop_reason') AS stop_reason,
    JSONExtractString(r.detail, 'request_id') AS request_id,
    JSONExtractString(r.detail, 'prompt_sha256') AS prompt_sha256,
    JSONExtractInt(r.detail, 'input_tokens') AS input_tokens,
    JSONExtractInt(r.detail, 'output_tokens') AS output_tokens,
    JSONExtractInt(r.detail, 'cost_microusd') AS cost_microusd,
    JSONExtractInt(r.detail, 'unanswered_microusd') AS unanswered_microusd,
    JSONExtractInt(r.detail, 'latency_ms') AS latency_ms,
    JSONExtractRaw(r.detail, 'fallbacks') AS fallbacks,
    JSONExtractString(r.detail, 'prompt') AS prompt,
    JSONExtractString(r.detail, 'reply') AS reply,
    bitNot(bitOr(bitShiftLeft(toUInt64(r.incarnation), 48), toUInt64(r.`offset`))) AS precedence
FROM audit_feed AS r
WHERE r.kind = 'asked';

-- They are not rare, so they are not among the rare kinds.
ALTER TABLE records_by_kind_of_records MODIFY QUERY
SELECT
    kind, toStartOfHour(toDateTime(case_at, 'UTC')) AS hour, record_id, time, subject, event_id, event_source,
    event_type, case_id, agent, charter_version, step, decision_id, action, disposition, status, traceparent, reason,
    detail, case_at,
    bitNot(bitOr(bitShiftLeft(toUInt64(incarnation), 48), toUInt64(`offset`))) AS precedence
FROM audit_feed
WHERE case_id IS NULL OR kind NOT IN ('received', 'deferred', 'asked', 'decided', 'queued', 'acted');

-- The text of a question goes earlier than others, and a row without its text has another digest than its place.
ALTER TABLE audit_places ADD COLUMN IF NOT EXISTS `kind` LowCardinality(String);

ALTER TABLE audit_places_of_records MODIFY QUERY
SELECT
    topic, incarnation, `partition`, `offset`, record_id,
    left(SHA256(formatRow('RowBinary',
        record_id, kind, time, subject, event_id, event_source, event_type, case_id, agent, charter_version, step,
        decision_id, action, confidence, disposition, status, provider, model, input_tokens, output_tokens,
        cost_microusd, latency_ms, traceparent, reason, detail, case_at)), 16) AS digest,
    cost_microusd, toStartOfHour(toDateTime(case_at, 'UTC')) AS hour, kind
FROM audit_records
