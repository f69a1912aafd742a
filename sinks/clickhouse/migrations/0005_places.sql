-- Where each record lay on the audit topic, whatever became of its row: what the sink looks up when it starts, and what
-- `nightdesk audit verify` compares the rows with.
--
-- A topic that is deleted and created again counts its offsets from 0 again. `incarnation` tells the two apart: 0 for
-- everything that was stored before this migration, then the number that `incarnations` gives to each id of a topic.
-- Of two records with one id the first counts: the earlier incarnation, then the lower offset.
CREATE TABLE IF NOT EXISTS incarnations
(
    `topic`    String,
    `topic_id` String,
    `number`   UInt16
)
ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (`topic`, `number`, `topic_id`);

ALTER TABLE audit_records ADD COLUMN IF NOT EXISTS `incarnation` UInt16 DEFAULT 0 CODEC(T64, ZSTD) AFTER `offset`;

ALTER TABLE audit_records MODIFY COLUMN
    `precedence` UInt64 MATERIALIZED bitNot(bitOr(bitShiftLeft(toUInt64(`incarnation`), 48), toUInt64(`offset`)))
    CODEC(T64, ZSTD);

ALTER TABLE audit_feed ADD COLUMN IF NOT EXISTS `incarnation` UInt16 DEFAULT 0;

ALTER TABLE decision_facts_of_records MODIFY QUERY
SELECT
    toStartOfHour(toDateTime(r.case_at, 'UTC')) AS hour,
    r.record_id AS record_id,
    r.subject AS subject,
    r.case_id AS case_id,
    r.decision_id AS decision_id,
    r.event_source AS event_source,
    r.event_id AS event_id,
    r.event_type AS event_type,
    r.agent AS agent,
    r.charter_version AS charter_version,
    r.step AS step,
    r.time AS decided_at,
    r.action AS action,
    JSONExtractString(r.detail, 'kind') AS kind,
    r.confidence AS confidence,
    r.disposition AS disposition,
    JSONExtractString(r.detail, 'disposition_reason') AS disposition_reason,
    JSONExtractString(r.detail, 'parameters') AS parameters,
    JSONExtractString(r.detail, 'reasoning') AS reasoning,
    JSONExtractRaw(r.detail, 'verdicts') AS verdicts,
    JSONExtractRaw(r.detail, 'fallbacks') AS fallbacks,
    JSONExtract(r.detail, 'prompt_sha256', 'Nullable(String)') AS prompt_sha256,
    r.provider AS provider,
    r.model AS model,
    r.input_tokens AS input_tokens,
    r.output_tokens AS output_tokens,
    JSONExtractInt(r.detail, 'reserved_microusd') AS reserved_microusd,
    r.cost_microusd AS cost_microusd,
    r.latency_ms AS latency_ms,
    bitNot(bitOr(bitShiftLeft(toUInt64(r.incarnation), 48), toUInt64(r.`offset`))) AS precedence
FROM audit_feed AS r
WHERE r.kind = 'decided';

ALTER TABLE step_facts_of_records MODIFY QUERY
SELECT
    toStartOfHour(toDateTime(r.case_at, 'UTC')) AS hour,
    r.record_id AS record_id,
    toUInt32(number) AS number,
    r.subject AS subject,
    r.case_id AS case_id,
    r.decision_id AS decision_id,
    r.agent AS agent,
    r.action AS action,
    r.step AS step,
    JSONExtractString(outcome, 'step_id') AS step_id,
    JSONExtractInt(outcome, 'position') AS position,
    JSONExtractString(outcome, 'handler') AS handler,
    JSONExtractString(outcome, 'status') AS status,
    JSONExtractString(outcome, 'result') AS result,
    JSONExtract(outcome, 'error', 'Nullable(String)') AS error,
    JSONExtractInt(outcome, 'attempts') AS attempts,
    JSONExtractBool(outcome, 'from_cache') AS from_cache,
    parseDateTime64BestEffortOrNull(JSONExtractString(outcome, 'started_at'), 6, 'UTC') AS started_at,
    JSONExtractInt(outcome, 'latency_ms') AS latency_ms,
    r.time AS recorded_at,
    bitNot(bitOr(bitShiftLeft(toUInt64(r.incarnation), 48), toUInt64(r.`offset`))) AS precedence
FROM audit_feed AS r
ARRAY JOIN
    JSONExtractArrayRaw(r.detail, 'outcomes') AS outcome,
    arrayEnumerate(JSONExtractArrayRaw(r.detail, 'outcomes')) AS number
WHERE r.kind = 'acted';

ALTER TABLE records_by_kind_of_records MODIFY QUERY
SELECT
    kind, toStartOfHour(toDateTime(case_at, 'UTC')) AS hour, record_id, time, subject, event_id, event_source,
    event_type, case_id, agent, charter_version, step, decision_id, action, disposition, status, traceparent, reason,
    detail, case_at,
    bitNot(bitOr(bitShiftLeft(toUInt64(incarnation), 48), toUInt64(`offset`))) AS precedence
FROM audit_feed
WHERE case_id IS NULL OR kind NOT IN ('received', 'deferred', 'decided', 'queued', 'acted');

ALTER TABLE audit_feed_of_records MODIFY QUERY
SELECT
    record_id, kind, time, subject, event_id, event_source, event_type, case_id, agent, charter_version, step,
    decision_id, action, confidence, disposition, status, provider, model, input_tokens, output_tokens, cost_microusd,
    latency_ms, traceparent, reason, detail, case_at, topic, `partition`, `offset`, incarnation
FROM audit_records;

-- One row for each record and place. `digest` covers every field of the record. A row that is stored twice is one row
-- here; two rows at one place are two.
CREATE TABLE IF NOT EXISTS audit_places
(
    `topic`         LowCardinality(String),
    `incarnation`   UInt16 CODEC(T64, ZSTD),
    `partition`     Int32 CODEC(T64, ZSTD),
    `offset`        Int64 CODEC(Delta, ZSTD),
    `record_id`     String CODEC(ZSTD),
    `digest`        FixedString(16) CODEC(NONE),
    `cost_microusd` Int64 CODEC(T64, ZSTD),
    `hour`          DateTime('UTC') CODEC(Delta, ZSTD)
)
ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (`topic`, `incarnation`, `partition`, `offset`, `record_id`, `digest`);

-- A link of the hash chain of a partition: the value of the chain after the last record before `offset`.
CREATE TABLE IF NOT EXISTS audit_links
(
    `topic`       LowCardinality(String),
    `incarnation` UInt16,
    `partition`   Int32,
    `offset`      Int64 CODEC(Delta, ZSTD),
    `link`        FixedString(64) CODEC(ZSTD)
)
ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (`topic`, `incarnation`, `partition`, `offset`, `link`);

CREATE MATERIALIZED VIEW IF NOT EXISTS audit_places_of_records TO audit_places AS
SELECT
    topic, incarnation, `partition`, `offset`, record_id,
    left(SHA256(formatRow('RowBinary',
        record_id, kind, time, subject, event_id, event_source, event_type, case_id, agent, charter_version, step,
        decision_id, action, confidence, disposition, status, provider, model, input_tokens, output_tokens,
        cost_microusd, latency_ms, traceparent, reason, detail, case_at)), 16) AS digest,
    cost_microusd, toStartOfHour(toDateTime(case_at, 'UTC')) AS hour
FROM audit_records;

INSERT INTO audit_places
SELECT
    topic, incarnation, `partition`, `offset`, record_id,
    left(SHA256(formatRow('RowBinary',
        record_id, kind, time, subject, event_id, event_source, event_type, case_id, agent, charter_version, step,
        decision_id, action, confidence, disposition, status, provider, model, input_tokens, output_tokens,
        cost_microusd, latency_ms, traceparent, reason, detail, case_at)), 16) AS digest,
    cost_microusd, toStartOfHour(toDateTime(case_at, 'UTC')) AS hour
FROM audit_records
