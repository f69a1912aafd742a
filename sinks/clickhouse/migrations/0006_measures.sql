-- What a decision is measured by: the baseline and the budget of the charter that decided, and what its calls without an
-- answer cost. Records that are stored already say nothing of it, so there is nothing to fill.
ALTER TABLE decision_facts
    ADD COLUMN IF NOT EXISTS `unanswered_microusd` Int64 CODEC(T64, ZSTD),
    ADD COLUMN IF NOT EXISTS `day_budget_microusd` Int64 CODEC(T64, ZSTD);

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
    JSONExtractInt(r.detail, 'unanswered_microusd') AS unanswered_microusd,
    JSONExtractInt(r.detail, 'day_budget_microusd') AS day_budget_microusd,
    bitNot(bitOr(bitShiftLeft(toUInt64(r.incarnation), 48), toUInt64(r.`offset`))) AS precedence
FROM audit_feed AS r
WHERE r.kind = 'decided';

-- `measures` has the baseline in seconds and in micro-dollars and the budget of a day, of the last decision.
ALTER TABLE case_states
    ADD COLUMN IF NOT EXISTS `measures` AggregateFunction(argMax, Tuple(Int64, Int64, Int64),
        Tuple(Int64, DateTime64(6, 'UTC'))) CODEC(ZSTD),
    ADD COLUMN IF NOT EXISTS `unanswered` SimpleAggregateFunction(maxMap, Map(Int64, Int64)) CODEC(ZSTD);

ALTER TABLE case_states_of_records MODIFY QUERY
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
    argMaxStateIf(
        (JSONExtractInt(r.detail, 'baseline_s'), JSONExtractInt(r.detail, 'baseline_microusd'),
            JSONExtractInt(r.detail, 'day_budget_microusd')),
        (r.step, r.time), r.kind = 'decided') AS measures,
    maxMap(CAST((decided_step, arrayMap(one -> JSONExtractInt(r.detail, 'unanswered_microusd'), decided_step)),
        'Map(Int64, Int64)')) AS unanswered,
    maxMap(CAST((decided_step, arrayMap(one -> r.input_tokens, decided_step)), 'Map(Int64, Int64)')) AS input_tokens,
    maxMap(CAST((decided_step, arrayMap(one -> r.output_tokens, decided_step)), 'Map(Int64, Int64)')) AS output_tokens,
    max(toUInt8(r.kind = 'dead_letter')) AS has_dead_letter,
    maxIf(r.time, r.kind = 'dead_letter') AS dead_at,
    maxIf(r.time, r.kind IN ('acted', 'replayed')) AS revived_at,
    argMaxStateIf(r.reason, r.time, r.kind = 'dead_letter') AS dead_reason
FROM audit_feed AS r
WHERE r.case_id IS NOT NULL
GROUP BY hour, case_id
