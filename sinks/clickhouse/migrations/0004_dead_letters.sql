-- A dead letter has an end: it was replayed, and its event or case goes on, or discarded. What waits behind one is
-- `waiting`.

-- One row per case. Its status is that of its furthest record (step, then lifecycle); a dead letter wins over all that
-- came before it, and loses to what was done after it was sent again.
CREATE OR REPLACE VIEW cases AS
WITH
    indexOf(['received', 'deferred', 'refused', 'parked decide', 'decided', 'parked act', 'approval', 'queued', 'acted'],
        if(r.kind = 'parked', concat('parked ', JSONExtractString(r.detail, 'topic')), toString(r.kind))) AS lifecycle,
    countIf(r.kind = 'dead_letter') > 0
        AND maxIf(r.time, r.kind = 'dead_letter') >= maxIf(r.time, r.kind IN ('acted', 'replayed')) AS is_dead
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

-- One row per dead letter, with what a person made of it.
CREATE OR REPLACE VIEW dead_letters AS
WITH r.kind = 'dead_letter' AS is_letter
SELECT
    r.subject AS subject,
    anyIf(r.event_source, is_letter) AS event_source,
    anyIf(r.event_id, is_letter) AS event_id,
    anyIf(r.case_id, is_letter) AS case_id,
    anyIf(r.agent, is_letter) AS agent,
    minIf(r.time, is_letter) AS time,
    JSONExtractString(r.detail, 'dead_letter_id') AS dead_letter_id,
    if(countIf(NOT is_letter) = 0, 'open', argMaxIf(toString(r.kind), r.time, NOT is_letter)) AS state,
    anyIf(JSONExtractString(r.detail, 'stage'), is_letter) AS stage,
    anyIf(JSONExtractString(r.detail, 'topic'), is_letter) AS topic,
    anyIf(JSONExtractInt(r.detail, 'partition'), is_letter) AS `partition`,
    anyIf(JSONExtractInt(r.detail, 'offset'), is_letter) AS `offset`,
    anyIf(JSONExtractString(r.detail, 'attempted'), is_letter) AS attempted,
    anyIf(JSONExtractString(r.detail, 'error'), is_letter) AS error,
    anyIf(JSONExtractString(r.detail, 'message'), is_letter) AS message,
    anyIf(JSONExtractInt(r.detail, 'attempts'), is_letter) AS attempts,
    anyIf(JSONExtract(r.detail, 'replay_of', 'Nullable(String)'), is_letter) AS replay_of,
    anyIf(JSONExtractString(r.detail, 'program_version'), is_letter) AS program_version,
    anyIf(r.traceparent, is_letter) AS traceparent,
    argMaxIf(r.reason, r.time, NOT is_letter) AS end_reason
FROM records AS r
WHERE r.kind IN ('dead_letter', 'replayed', 'discarded')
GROUP BY subject, dead_letter_id
HAVING countIf(is_letter) > 0;

-- Each event once, with its end: that of its cases (the one that needs most attention first), or what became of it
-- where it made none. `state` is running, resting (a timer, a person or a dead letter has it) or ended. An event that
-- could not even be read has no id: each such message is its own row until it is replayed.
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
        maxIf(first_at, part = 'replayed') > maxIf(first_at, part = 'dead_letter') AS is_replayed,
        if(is_replayed, argMinIf(part_status, attention, part != 'dead_letter'), argMin(part_status, attention)) AS status,
        if(is_replayed, argMinIf(part_reason, attention, part != 'dead_letter'), argMin(part_reason, attention)) AS reason
    FROM
    (
        SELECT
            subject, event_source, event_id, event_type, case_id, '' AS unread, 'case' AS part,
            status AS part_status, reason AS part_reason, received_at AS first_at, last_at AS latest_at,
            indexOf(['running', 'needs_approval', 'deferred', 'waiting', 'failed', 'refused', 'escalated', 'completed',
                'ignored'], status) AS attention
        FROM cases
        UNION ALL
        SELECT
            r.subject, toString(r.event_source), r.event_id, toString(r.event_type), r.case_id,
            if(r.event_id = '', JSONExtractString(r.detail, 'dead_letter_id'), ''), toString(r.kind),
            toString(r.status), r.reason, r.time, r.time,
            -- Behind every case: a duplicate that was ignored says nothing about the event that was handled.
            indexOf(['dead_letter', 'rejected', 'refused', 'deferred', 'ignored', 'received', 'parked', 'replayed'],
                toString(r.kind))
                + if(r.kind IN ('ignored', 'received', 'parked', 'replayed'), 9, 4) AS attention
        FROM records AS r
        WHERE r.case_id IS NULL
            AND r.kind IN ('received', 'ignored', 'rejected', 'refused', 'deferred', 'dead_letter', 'parked', 'replayed')
            AND (r.event_id != '' OR JSONExtractString(r.detail, 'topic') = 'ingest' OR r.kind = 'replayed')
    )
    GROUP BY subject, event_source, event_id, unread
    HAVING NOT (event_id = '' AND countIf(part = 'replayed') > 0)
);
