-- A decision that waits for its turn, for a system that is away or for another try is `waiting`; steps say where their
-- result was kept from an earlier call.

-- One row per case. Its status is that of its furthest record (step, then lifecycle); a dead letter wins over all that
-- came before it, and loses to what was done after it was sent again.
CREATE OR REPLACE VIEW cases AS
WITH
    indexOf(['received', 'deferred', 'refused', 'decided', 'approval', 'queued', 'acted'], toString(r.kind)) AS lifecycle,
    countIf(r.kind = 'dead_letter') > 0
        AND maxIf(r.time, r.kind = 'dead_letter') >= maxIf(r.time, r.kind = 'acted') AS is_dead
SELECT
    r.subject AS subject,
    r.case_id AS case_id,
    any(r.event_source) AS event_source,
    any(r.event_id) AS event_id,
    any(r.event_type) AS event_type,
    any(r.agent) AS agent,
    argMax(r.charter_version, (r.step, lifecycle, r.time)) AS charter_version,
    if(is_dead, 'failed', argMax(toString(r.status), (r.kind != 'dead_letter', r.step, lifecycle, r.time))) AS status,
    if(is_dead, argMaxIf(r.reason, r.time, r.kind = 'dead_letter'),
        argMax(r.reason, (r.kind != 'dead_letter', r.step, lifecycle, r.time))) AS reason,
    argMaxIf(r.action, (r.step, r.time), r.kind = 'decided') AS action,
    argMaxIf(r.confidence, (r.step, r.time), r.kind = 'decided') AS confidence,
    argMaxIf(r.disposition, (r.step, r.time), r.kind = 'decided') AS disposition,
    countIf(r.kind = 'decided') AS decisions,
    sum(r.input_tokens) AS input_tokens,
    sum(r.output_tokens) AS output_tokens,
    sum(r.cost_microusd) AS cost_microusd,
    min(r.time) AS received_at,
    max(r.time) AS last_at,
    any(r.traceparent) AS traceparent
FROM records AS r
WHERE r.case_id IS NOT NULL
GROUP BY r.subject, r.case_id;

-- What really happened: one row per step of a playbook that was run.
CREATE OR REPLACE VIEW steps AS
SELECT
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
    JSONExtractRaw(outcome, 'result') AS result,
    JSONExtract(outcome, 'error', 'Nullable(String)') AS error,
    JSONExtractInt(outcome, 'attempts') AS attempts,
    JSONExtractBool(outcome, 'from_cache') AS from_cache,
    parseDateTime64BestEffortOrNull(JSONExtractString(outcome, 'started_at'), 6, 'UTC') AS started_at,
    JSONExtractInt(outcome, 'latency_ms') AS latency_ms,
    r.time AS recorded_at
FROM records AS r
ARRAY JOIN JSONExtractArrayRaw(r.detail, 'outcomes') AS outcome
WHERE r.kind = 'acted';
