-- Facts by id: typed tables for the questions that `audit_records`, which is sorted by subject, cannot answer without
-- reading everything. They are filled by materialized views, and nothing in them adds: a row is replaced by its copy, and
-- a state (max, min, argMax) does not change if it is given the same record again. So a retried insert, and a record that
-- is read again, change no answer. If the copies of a record differ, a state takes the greater value.
--
-- Every key has `hour`, the hour in which the case was opened: first, or behind the kind (`records_by_kind`), or behind
-- the id and the subject (`ids`). Copies of a record have the same one, but for the exceptions in decision 36.

-- What the views below read. It stores nothing: an insert into it fills the facts of records that are in
-- `audit_records` already.
CREATE TABLE IF NOT EXISTS audit_feed
(
    `record_id` String, `kind` LowCardinality(String), `time` DateTime64(6, 'UTC'), `subject` String,
    `event_id` String, `event_source` LowCardinality(String), `event_type` LowCardinality(String),
    `case_id` Nullable(String), `agent` LowCardinality(Nullable(String)),
    `charter_version` LowCardinality(Nullable(String)), `step` Int64, `decision_id` Nullable(String),
    `action` LowCardinality(Nullable(String)), `confidence` Nullable(Float64),
    `disposition` LowCardinality(Nullable(String)), `status` LowCardinality(String),
    `provider` LowCardinality(Nullable(String)), `model` LowCardinality(Nullable(String)), `input_tokens` Int64,
    `output_tokens` Int64, `cost_microusd` Int64, `latency_ms` Int64, `traceparent` Nullable(String), `reason` String,
    `detail` String, `case_at` DateTime64(6, 'UTC') DEFAULT `time`, `topic` LowCardinality(String), `partition` Int32,
    `offset` Int64
)
ENGINE = Null;

-- Which subjects an id belongs to: that of a subject, an event, a case or a decision, as its hash. Two ids may have one
-- hash, so whoever asks compares what is found.
CREATE TABLE IF NOT EXISTS ids
(
    `id`      UInt64,
    `subject` String CODEC(ZSTD),
    `hour`    DateTime('UTC') CODEC(Delta, ZSTD)
)
ENGINE = ${replicated}ReplacingMergeTree
PARTITION BY toYear(`hour`)
ORDER BY (`id`, `subject`, `hour`)
SETTINGS index_granularity = 1024;

CREATE MATERIALIZED VIEW IF NOT EXISTS ids_of_records TO ids AS
SELECT DISTINCT
    sipHash64(arrayJoin(arrayConcat([r.subject],
        arrayFilter(one -> one != '', [r.event_id, ifNull(r.case_id, ''), ifNull(r.decision_id, '')])))) AS id,
    r.subject AS subject,
    toStartOfHour(toDateTime(r.case_at, 'UTC')) AS hour
FROM audit_feed AS r;

-- One row for each case. `agent` is no part of the key: the dead letter of a record that could not be read names none.
CREATE TABLE IF NOT EXISTS case_states
(
    `hour`          DateTime('UTC') CODEC(Delta, ZSTD),
    `case_id`       String CODEC(ZSTD),
    `first_at`      SimpleAggregateFunction(min, DateTime64(6, 'UTC')) CODEC(Delta, ZSTD),
    `last_at`       SimpleAggregateFunction(max, DateTime64(6, 'UTC')) CODEC(Delta, ZSTD),
    `subject`       SimpleAggregateFunction(max, String) CODEC(ZSTD),
    `event_source`  SimpleAggregateFunction(max, LowCardinality(String)),
    `event_id`      SimpleAggregateFunction(max, String) CODEC(ZSTD),
    `event_type`    SimpleAggregateFunction(max, LowCardinality(String)),
    `agent`         SimpleAggregateFunction(max, LowCardinality(String)),
    `traceparent`   SimpleAggregateFunction(max, String) CODEC(ZSTD),
    -- Status and reason of the record that is furthest: no dead letter before any other, then step, place in the life of
    -- a case, time.
    `furthest`      AggregateFunction(argMax, Tuple(String, String), Tuple(UInt8, Int64, UInt8, DateTime64(6, 'UTC')))
        CODEC(ZSTD),
    `charter`       AggregateFunction(argMax, String, Tuple(UInt8, Int64, UInt8, DateTime64(6, 'UTC'))) CODEC(ZSTD),
    -- Action, confidence and disposition of the last decision.
    `decided`       AggregateFunction(argMax, Tuple(Nullable(String), Nullable(Float64), Nullable(String)),
        Tuple(Int64, DateTime64(6, 'UTC'))) CODEC(ZSTD),
    -- By step, because a step is decided once: the greatest of two copies is the value, and the sum over steps is exact.
    `costs`         SimpleAggregateFunction(maxMap, Map(Int64, Int64)) CODEC(ZSTD),
    `input_tokens`  SimpleAggregateFunction(maxMap, Map(Int64, Int64)) CODEC(ZSTD),
    `output_tokens` SimpleAggregateFunction(maxMap, Map(Int64, Int64)) CODEC(ZSTD),
    `has_dead_letter` SimpleAggregateFunction(max, UInt8),
    `dead_at`       SimpleAggregateFunction(max, DateTime64(6, 'UTC')) CODEC(ZSTD),
    `revived_at`    SimpleAggregateFunction(max, DateTime64(6, 'UTC')) CODEC(ZSTD),
    `dead_reason`   AggregateFunction(argMax, String, DateTime64(6, 'UTC')) CODEC(ZSTD),
    INDEX by_first_at `first_at` TYPE minmax GRANULARITY 1,
    INDEX by_last_at `last_at` TYPE minmax GRANULARITY 1,
    INDEX by_subject `subject` TYPE bloom_filter GRANULARITY 1,
    INDEX by_case_id `case_id` TYPE bloom_filter GRANULARITY 1
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(`hour`)
ORDER BY (`hour`, `case_id`);

CREATE MATERIALIZED VIEW IF NOT EXISTS case_states_of_records TO case_states AS
WITH
    toUInt8(indexOf(
        ['received', 'deferred', 'refused', 'parked decide', 'decided', 'parked act', 'waits', 'acted'],
        multiIf(
            r.kind = 'parked', concat('parked ', JSONExtractString(r.detail, 'topic')),
            -- The limit of its subject refused it, and its event may have been offered again since.
            r.kind = 'refused' AND JSONHas(r.detail, 'offset'), '',
            -- A person may be asked after a wait for an order, and the reverse: the latest of them stands.
            r.kind IN ('approval', 'queued'), 'waits',
            toString(r.kind)))) AS lifecycle,
    if(r.kind = 'decided', [r.step], []) AS decided_step
SELECT
    toStartOfHour(toDateTime(r.case_at, 'UTC')) AS hour,
    assumeNotNull(r.case_id) AS case_id,
    min(r.time) AS first_at,
    max(r.time) AS last_at,
    max(r.subject) AS subject,
    max(r.event_source) AS event_source,
    max(r.event_id) AS event_id,
    max(r.event_type) AS event_type,
    max(toLowCardinality(ifNull(toString(r.agent), ''))) AS agent,
    max(ifNull(r.traceparent, '')) AS traceparent,
    argMaxState((toString(r.status), r.reason), (toUInt8(r.kind != 'dead_letter'), r.step, lifecycle, r.time)) AS furthest,
    argMaxState(ifNull(toString(r.charter_version), ''),
        (toUInt8(r.charter_version IS NOT NULL), r.step, lifecycle, r.time)) AS charter,
    argMaxStateIf((CAST(r.action, 'Nullable(String)'), r.confidence, CAST(r.disposition, 'Nullable(String)')),
        (r.step, r.time), r.kind = 'decided') AS decided,
    maxMap(CAST((decided_step, arrayMap(one -> r.cost_microusd, decided_step)), 'Map(Int64, Int64)')) AS costs,
    maxMap(CAST((decided_step, arrayMap(one -> r.input_tokens, decided_step)), 'Map(Int64, Int64)')) AS input_tokens,
    maxMap(CAST((decided_step, arrayMap(one -> r.output_tokens, decided_step)), 'Map(Int64, Int64)')) AS output_tokens,
    max(toUInt8(r.kind = 'dead_letter')) AS has_dead_letter,
    maxIf(r.time, r.kind = 'dead_letter') AS dead_at,
    maxIf(r.time, r.kind IN ('acted', 'replayed')) AS revived_at,
    argMaxStateIf(r.reason, r.time, r.kind = 'dead_letter') AS dead_reason
FROM audit_feed AS r
WHERE r.case_id IS NOT NULL
GROUP BY hour, case_id;

-- One row for each decision.
CREATE TABLE IF NOT EXISTS decision_facts
(
    `hour`               DateTime('UTC') CODEC(Delta, ZSTD),
    `record_id`          String CODEC(ZSTD),
    `subject`            String CODEC(ZSTD),
    `case_id`            Nullable(String) CODEC(ZSTD),
    `decision_id`        Nullable(String) CODEC(ZSTD),
    `event_source`       LowCardinality(String),
    `event_id`           String CODEC(ZSTD),
    `event_type`         LowCardinality(String),
    `agent`              LowCardinality(Nullable(String)),
    `charter_version`    LowCardinality(Nullable(String)),
    `step`               Int64 CODEC(T64, ZSTD),
    `decided_at`         DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    `action`             LowCardinality(Nullable(String)),
    `kind`               LowCardinality(String),
    `confidence`         Nullable(Float64),
    `disposition`        LowCardinality(Nullable(String)),
    `disposition_reason` String CODEC(ZSTD),
    `parameters`         String CODEC(ZSTD(3)),
    `reasoning`          String CODEC(ZSTD(3)),
    `verdicts`           String CODEC(ZSTD(3)),
    `fallbacks`          String CODEC(ZSTD(3)),
    `prompt_sha256`      LowCardinality(Nullable(String)),
    `provider`           LowCardinality(Nullable(String)),
    `model`              LowCardinality(Nullable(String)),
    `input_tokens`       Int64 CODEC(T64, ZSTD),
    `output_tokens`      Int64 CODEC(T64, ZSTD),
    `reserved_microusd`  Int64 CODEC(T64, ZSTD),
    `cost_microusd`      Int64 CODEC(T64, ZSTD),
    `latency_ms`         Int64 CODEC(T64, ZSTD),
    `precedence`         UInt64 CODEC(T64, ZSTD),
    INDEX by_decided_at `decided_at` TYPE minmax GRANULARITY 1,
    INDEX by_subject `subject` TYPE bloom_filter GRANULARITY 1
)
ENGINE = ${replicated}ReplacingMergeTree(`precedence`)
PARTITION BY toYYYYMM(`hour`)
ORDER BY (`hour`, `record_id`);

CREATE MATERIALIZED VIEW IF NOT EXISTS decision_facts_of_records TO decision_facts AS
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
    bitNot(toUInt64(r.`offset`)) AS precedence
FROM audit_feed AS r
WHERE r.kind = 'decided';

-- One row for each step of a playbook that ran: `number` is its place in the record.
CREATE TABLE IF NOT EXISTS step_facts
(
    `hour`        DateTime('UTC') CODEC(Delta, ZSTD),
    `record_id`   String CODEC(ZSTD),
    `number`      UInt32 CODEC(T64, ZSTD),
    `subject`     String CODEC(ZSTD),
    `case_id`     Nullable(String) CODEC(ZSTD),
    `decision_id` Nullable(String) CODEC(ZSTD),
    `agent`       LowCardinality(Nullable(String)),
    `action`      LowCardinality(Nullable(String)),
    `step`        Int64 CODEC(T64, ZSTD),
    `step_id`     String CODEC(ZSTD),
    `position`    Int64 CODEC(T64, ZSTD),
    `handler`     LowCardinality(String),
    `status`      LowCardinality(String),
    `result`      String CODEC(ZSTD(3)),
    `error`       Nullable(String) CODEC(ZSTD(3)),
    `attempts`    Int64 CODEC(T64, ZSTD),
    `from_cache`  UInt8,
    `started_at`  Nullable(DateTime64(6, 'UTC')) CODEC(Delta, ZSTD),
    `latency_ms`  Int64 CODEC(T64, ZSTD),
    `recorded_at` DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    `precedence`  UInt64 CODEC(T64, ZSTD),
    INDEX by_recorded_at `recorded_at` TYPE minmax GRANULARITY 1,
    INDEX by_subject `subject` TYPE bloom_filter GRANULARITY 1
)
ENGINE = ${replicated}ReplacingMergeTree(`precedence`)
PARTITION BY toYYYYMM(`hour`)
ORDER BY (`hour`, `record_id`, `number`);

CREATE MATERIALIZED VIEW IF NOT EXISTS step_facts_of_records TO step_facts AS
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
    bitNot(toUInt64(r.`offset`)) AS precedence
FROM audit_feed AS r
ARRAY JOIN
    JSONExtractArrayRaw(r.detail, 'outcomes') AS outcome,
    arrayEnumerate(JSONExtractArrayRaw(r.detail, 'outcomes')) AS number
WHERE r.kind = 'acted';

-- A copy of the records of the kinds that are rare and that people ask for whatever their subject is: approvals, dead
-- letters, events without a case, orders, corrections. The frequent kinds of a case are in the tables above.
CREATE TABLE IF NOT EXISTS records_by_kind
(
    `kind`            LowCardinality(String),
    `hour`            DateTime('UTC') CODEC(Delta, ZSTD),
    `record_id`       String CODEC(ZSTD),
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
    `disposition`     LowCardinality(Nullable(String)),
    `status`          LowCardinality(String),
    `traceparent`     Nullable(String) CODEC(ZSTD),
    `reason`          String CODEC(ZSTD),
    `detail`          String CODEC(ZSTD(3)),
    `case_at`         DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    `precedence`      UInt64 CODEC(T64, ZSTD),
    INDEX by_time `time` TYPE minmax GRANULARITY 1,
    INDEX by_subject `subject` TYPE bloom_filter GRANULARITY 1
)
ENGINE = ${replicated}ReplacingMergeTree(`precedence`)
PARTITION BY toYYYYMM(`hour`)
ORDER BY (`kind`, `hour`, `record_id`);

CREATE MATERIALIZED VIEW IF NOT EXISTS records_by_kind_of_records TO records_by_kind AS
SELECT
    kind, toStartOfHour(toDateTime(case_at, 'UTC')) AS hour, record_id, time, subject, event_id, event_source, event_type,
    case_id, agent, charter_version, step, decision_id, action, disposition, status, traceparent, reason, detail, case_at,
    bitNot(toUInt64(`offset`)) AS precedence
FROM audit_feed
WHERE case_id IS NULL OR kind NOT IN ('received', 'deferred', 'decided', 'queued', 'acted');

-- Last, so that no record reaches a part of the facts only.
CREATE MATERIALIZED VIEW IF NOT EXISTS audit_feed_of_records TO audit_feed AS
SELECT
    record_id, kind, time, subject, event_id, event_source, event_type, case_id, agent, charter_version, step,
    decision_id, action, confidence, disposition, status, provider, model, input_tokens, output_tokens, cost_microusd,
    latency_ms, traceparent, reason, detail, case_at, topic, `partition`, `offset`
FROM audit_records;

-- The records that were stored before, in slices, because the earliest time of a case is found by sorting. A case has one
-- subject, so a slice has whole cases. All records of a case get its earliest time: older versions recorded no other.
INSERT INTO audit_feed
(
    record_id, kind, time, subject, event_id, event_source, event_type, case_id, agent, charter_version, step,
    decision_id, action, confidence, disposition, status, provider, model, input_tokens, output_tokens, cost_microusd,
    latency_ms, traceparent, reason, detail, case_at, topic, `partition`, `offset`
)
SETTINGS max_partitions_per_insert_block = 0
SELECT
    r.record_id, r.kind, r.time, r.subject, r.event_id, r.event_source, r.event_type, r.case_id, r.agent,
    r.charter_version, r.step, r.decision_id, r.action, r.confidence, r.disposition, r.status, r.provider, r.model,
    r.input_tokens, r.output_tokens, r.cost_microusd, r.latency_ms, r.traceparent, r.reason, r.detail,
    if(r.case_id IS NULL, r.case_at, min(r.case_at) OVER (PARTITION BY r.subject, r.case_id)), r.topic, r.`partition`,
    r.`offset`
FROM audit_records AS r FINAL
WHERE sipHash64(r.subject) % ${slices} = ${slice}
