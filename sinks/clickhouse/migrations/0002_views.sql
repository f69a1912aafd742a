-- What people and dashboards read. FINAL makes each right before any merge has run; nothing here is a roll-up that an
-- insert could count twice.

CREATE OR REPLACE VIEW records AS
SELECT * FROM audit_records FINAL;

-- One row per case. Its status is that of its furthest record (step, then lifecycle); a dead letter wins over all that
-- came before it, and loses to what was done after it was sent again.
CREATE OR REPLACE VIEW cases AS
WITH
    indexOf(['received', 'deferred', 'refused', 'decided', 'approval', 'acted'], toString(r.kind)) AS lifecycle,
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

CREATE OR REPLACE VIEW decisions AS
SELECT
    r.subject AS subject,
    r.case_id AS case_id,
    r.decision_id AS decision_id,
    r.event_source AS event_source,
    r.event_id AS event_id,
    r.agent AS agent,
    r.charter_version AS charter_version,
    r.step AS step,
    r.time AS decided_at,
    r.action AS action,
    JSONExtractString(r.detail, 'kind') AS kind,
    r.confidence AS confidence,
    r.disposition AS disposition,
    JSONExtractString(r.detail, 'disposition_reason') AS disposition_reason,
    JSONExtractRaw(r.detail, 'parameters') AS parameters,
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
    r.latency_ms AS latency_ms
FROM records AS r
WHERE r.kind = 'decided';

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
    parseDateTime64BestEffortOrNull(JSONExtractString(outcome, 'started_at'), 6, 'UTC') AS started_at,
    JSONExtractInt(outcome, 'latency_ms') AS latency_ms,
    r.time AS recorded_at
FROM records AS r
ARRAY JOIN JSONExtractArrayRaw(r.detail, 'outcomes') AS outcome
WHERE r.kind = 'acted';

CREATE OR REPLACE VIEW dead_letters AS
SELECT
    r.subject AS subject,
    r.event_source AS event_source,
    r.event_id AS event_id,
    r.case_id AS case_id,
    r.agent AS agent,
    r.time AS time,
    JSONExtractString(r.detail, 'dead_letter_id') AS dead_letter_id,
    JSONExtractString(r.detail, 'stage') AS stage,
    JSONExtractString(r.detail, 'topic') AS topic,
    JSONExtractInt(r.detail, 'partition') AS `partition`,
    JSONExtractInt(r.detail, 'offset') AS `offset`,
    JSONExtractString(r.detail, 'error') AS error,
    JSONExtractString(r.detail, 'message') AS message,
    JSONExtractInt(r.detail, 'attempts') AS attempts,
    JSONExtractString(r.detail, 'program_version') AS program_version,
    r.traceparent AS traceparent
FROM records AS r
WHERE r.kind = 'dead_letter';

CREATE OR REPLACE VIEW costs_by_day AS
SELECT
    toDate(r.time) AS day,
    r.agent AS agent,
    uniqExact(r.case_id) AS cases,
    countIf(r.kind = 'decided') AS decisions,
    sum(r.input_tokens) AS input_tokens,
    sum(r.output_tokens) AS output_tokens,
    sum(r.cost_microusd) AS cost_microusd
FROM records AS r
WHERE r.agent IS NOT NULL
GROUP BY day, r.agent;

-- Each event once, with its end: that of its cases (the one that needs most attention first), or what became of it
-- where it made none. `state` is running, resting (a timer or a person has it) or ended. An event that could not even
-- be read has no id: each such message is its own row.
CREATE OR REPLACE VIEW ends AS
SELECT
    subject,
    event_source,
    event_id,
    event_type,
    received_at,
    cases,
    status,
    reason,
    multiIf(
        status = 'running', 'running',
        status IN ('needs_approval', 'waiting', 'deferred'), 'resting',
        'ended') AS state,
    if(state = 'ended', last_at, NULL) AS ended_at
FROM
(
    SELECT
        subject,
        event_source,
        event_id,
        any(event_type) AS event_type,
        min(first_at) AS received_at,
        max(latest_at) AS last_at,
        countIf(case_id IS NOT NULL) AS cases,
        argMin(part_status, attention) AS status,
        argMin(part_reason, attention) AS reason
    FROM
    (
        SELECT
            subject, event_source, event_id, event_type, case_id, '' AS unread,
            status AS part_status, reason AS part_reason, received_at AS first_at, last_at AS latest_at,
            indexOf(['running', 'needs_approval', 'deferred', 'waiting', 'failed', 'refused', 'escalated', 'completed',
                'ignored'], status) AS attention
        FROM cases
        UNION ALL
        SELECT
            r.subject, toString(r.event_source), r.event_id, toString(r.event_type), r.case_id,
            if(r.event_id = '', r.record_id, ''),
            toString(r.status), r.reason, r.time, r.time,
            -- Behind every case: a duplicate that was ignored says nothing about the event that was handled.
            indexOf(['dead_letter', 'rejected', 'refused', 'deferred', 'ignored', 'received'], toString(r.kind))
                + if(r.kind IN ('ignored', 'received'), 9, 4) AS attention
        FROM records AS r
        WHERE r.case_id IS NULL
            AND r.kind IN ('received', 'ignored', 'rejected', 'refused', 'deferred', 'dead_letter')
            AND (r.event_id != '' OR JSONExtractString(r.detail, 'topic') = 'ingest')
    )
    GROUP BY subject, event_source, event_id, unread
);
