-- The same facts for less work: these views parse the text of a record once, and not once for each field. A prompt is long,
-- and only decisions have measures.
ALTER TABLE case_states_of_records MODIFY QUERY
WITH
    toUInt8(indexOf(
        ['received', 'deferred', 'refused', 'parked decide', 'decided', 'parked act', 'waits', 'acted'],
        multiIf(
            r.kind = 'parked', concat('parked ', JSONExtractString(r.detail, 'topic')),
            -- The limit of its subject refused it, and its event may have been offered again since.
            r.kind = 'refused' AND JSONHas(r.detail, 'offset'), '',
            -- A person may be asked after a wait for an order, and the reverse: the latest of them stands.
            -- What failed may be replayed, and waits or is asked about again.
            r.kind IN ('approval', 'queued') OR (r.kind = 'acted' AND r.status = 'failed'), 'waits',
            toString(r.kind)))) AS lifecycle,
    r.kind = 'decided' AS is_decision,
    JSONExtract(if(is_decision, r.detail, ''), 'Tuple(baseline_s Int64, baseline_microusd Int64,
        day_budget_microusd Int64, unanswered_microusd Int64)') AS told
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
        (r.step, r.time), is_decision) AS decided,
    maxMapIf(map(r.step, r.cost_microusd), is_decision) AS costs,
    argMaxStateIf((told.baseline_s, told.baseline_microusd, told.day_budget_microusd), (r.step, r.time), is_decision)
        AS measures,
    maxMapIf(map(r.step, told.unanswered_microusd), is_decision) AS unanswered,
    maxMapIf(map(r.step, r.input_tokens), is_decision) AS input_tokens,
    maxMapIf(map(r.step, r.output_tokens), is_decision) AS output_tokens,
    max(toUInt8(r.kind = 'dead_letter')) AS has_dead_letter,
    maxIf(r.time, r.kind = 'dead_letter') AS dead_at,
    maxIf(r.time, r.kind IN ('acted', 'replayed')) AS revived_at,
    argMaxStateIf(r.reason, r.time, r.kind = 'dead_letter') AS dead_reason
FROM audit_feed AS r
WHERE r.case_id IS NOT NULL
GROUP BY hour, case_id;

ALTER TABLE model_call_facts_of_records MODIFY QUERY
WITH JSONExtract(r.detail, 'Tuple(attempt Int64, answered Bool, stop_reason String, request_id String,
    prompt_sha256 String, input_tokens Int64, output_tokens Int64, cost_microusd Int64, unanswered_microusd Int64,
    latency_ms Int64, sent_at String, fallbacks String, prompt String, reply String)') AS told
SELECT
    toStartOfHour(toDateTime(r.case_at, 'UTC')) AS hour,
    r.record_id AS record_id,
    r.subject AS subject,
    r.case_id AS case_id,
    r.agent AS agent,
    r.charter_version AS charter_version,
    r.step AS step,
    told.attempt AS attempt,
    r.time AS asked_at,
    toUInt8(told.answered) AS answered,
    r.provider AS provider,
    r.model AS model,
    told.stop_reason AS stop_reason,
    told.request_id AS request_id,
    told.prompt_sha256 AS prompt_sha256,
    told.input_tokens AS input_tokens,
    told.output_tokens AS output_tokens,
    told.cost_microusd AS cost_microusd,
    told.unanswered_microusd AS unanswered_microusd,
    told.latency_ms AS latency_ms,
    parseDateTime64BestEffortOrNull(told.sent_at, 6, 'UTC') AS sent_at,
    told.fallbacks AS fallbacks,
    told.prompt AS prompt,
    told.reply AS reply,
    bitNot(bitOr(bitShiftLeft(toUInt64(r.incarnation), 48), toUInt64(r.`offset`))) AS precedence
FROM audit_feed AS r
WHERE r.kind = 'asked'
