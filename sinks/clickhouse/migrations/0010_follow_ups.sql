-- Follow-ups by when they are due, so whoever asks what is to come reads what is to come. The result of a `remind` step has
-- the timer and its time, and so has the record that cancels it. An undo is in the same record as the step.
CREATE TABLE IF NOT EXISTS follow_up_facts
(
    `due_at`       DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    `timer_id`     String CODEC(ZSTD),
    `subject`      SimpleAggregateFunction(max, String) CODEC(ZSTD),
    `case_id`      SimpleAggregateFunction(max, String) CODEC(ZSTD),
    `agent`        SimpleAggregateFunction(max, LowCardinality(String)),
    `event_type`   SimpleAggregateFunction(max, LowCardinality(String)),
    `asked_at`     SimpleAggregateFunction(max, DateTime64(6, 'UTC')) CODEC(Delta, ZSTD),
    `is_undone`    SimpleAggregateFunction(max, UInt8),
    `is_cancelled` SimpleAggregateFunction(max, UInt8)
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYear(`due_at`)
ORDER BY (`due_at`, `timer_id`)
SETTINGS index_granularity = 1024;

CREATE MATERIALIZED VIEW IF NOT EXISTS follow_up_facts_of_records TO follow_up_facts AS
SELECT
    assumeNotNull(parseDateTime64BestEffortOrNull(JSONExtractString(told, 'due_at'), 6, 'UTC')) AS due_at,
    JSONExtractString(told, 'timer_id') AS timer_id,
    r.subject AS subject,
    ifNull(r.case_id, '') AS case_id,
    ifNull(toString(r.agent), '') AS agent,
    JSONExtractString(told, 'type') AS event_type,
    if(r.kind = 'acted', r.time, toDateTime64(0, 6, 'UTC')) AS asked_at,
    toUInt8(has(arrayMap(one -> JSONExtractInt(one, 'position'),
        arrayFilter(one -> JSONExtractString(one, 'status') = 'undone', outcomes)),
        JSONExtractInt(outcome, 'position'))) AS is_undone,
    toUInt8(r.kind = 'cancelled') AS is_cancelled
FROM
(
    SELECT kind, time, subject, case_id, agent, detail, JSONExtractArrayRaw(detail, 'outcomes') AS outcomes
    FROM audit_feed
    WHERE kind IN ('acted', 'cancelled') AND position(detail, 'timer_id') > 0
) AS r
ARRAY JOIN if(r.kind = 'cancelled', [r.detail], arrayFilter(
    one -> JSONExtractString(one, 'status') = 'done' AND JSONExtractInt(one, 'attempts') = 0, outcomes)) AS outcome
ARRAY JOIN [if(r.kind = 'cancelled', outcome, JSONExtractString(outcome, 'result'))] AS told
WHERE timer_id != '' AND parseDateTime64BestEffortOrNull(JSONExtractString(told, 'due_at'), 6, 'UTC') IS NOT NULL;

-- What was stored before.
INSERT INTO follow_up_facts
SELECT
    parseDateTime64BestEffort(JSONExtractString(s.result, 'due_at'), 6, 'UTC') AS due_at,
    JSONExtractString(s.result, 'timer_id') AS timer_id,
    s.subject AS subject,
    ifNull(s.case_id, '') AS case_id,
    ifNull(toString(s.agent), '') AS agent,
    JSONExtractString(s.result, 'type') AS event_type,
    s.recorded_at AS asked_at,
    toUInt8((s.record_id, s.position) IN (SELECT record_id, position FROM step_facts WHERE status = 'undone')) AS is_undone,
    0 AS is_cancelled
FROM step_facts AS s FINAL
WHERE s.status = 'done' AND s.attempts = 0 AND timer_id != ''
    AND parseDateTime64BestEffortOrNull(JSONExtractString(s.result, 'due_at'), 6, 'UTC') IS NOT NULL
UNION ALL
SELECT
    parseDateTime64BestEffort(JSONExtractString(r.detail, 'due_at'), 6, 'UTC') AS due_at,
    JSONExtractString(r.detail, 'timer_id') AS timer_id,
    r.subject, ifNull(r.case_id, ''), ifNull(toString(r.agent), ''), '', toDateTime64(0, 6, 'UTC'), 0, 1
FROM records_by_kind AS r FINAL
WHERE r.kind = 'cancelled' AND parseDateTime64BestEffortOrNull(JSONExtractString(r.detail, 'due_at'), 6, 'UTC') IS NOT NULL
