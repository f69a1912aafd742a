-- An action that failed is no last word: its dead letter may be replayed, and then the case is what the later record says.
-- States that are stored already keep the place that they had.
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
