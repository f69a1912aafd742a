-- One row for each event, with how it ended.
--
-- An event that made cases has the status of the case that needs attention most. An event that made none has what
-- became of it instead. An event that could not be read has no id: each such message is a row of its own until it is
-- replayed.
CREATE OR REPLACE VIEW ends
(
    `subject`      String                         COMMENT 'what the event is about, as the producer named it',
    `event_source` LowCardinality(String)         COMMENT 'system that the event came from; empty if it could not be read',
    `event_id`     String                         COMMENT 'id of the event, unique within its source; empty if it could not be read',
    `event_type`   String                         COMMENT 'type of the event; empty if it could not be read',
    `received_at`  DateTime64(6, 'UTC')           COMMENT 'time of the first record of the event',
    `cases`        UInt64                         COMMENT 'number of cases: one for each agent that took the event',
    `status`       String                         COMMENT 'status of the case that needs attention most; ignored, rejected or failed where there is no case',
    `reason`       String                         COMMENT 'reason for the status, for people',
    `state`        String                         COMMENT 'running, resting (it waits for a timer, for a person or behind a dead letter) or ended',
    `ended_at`     Nullable(DateTime64(6, 'UTC')) COMMENT 'time of the last record of the event, if it has ended'
)
AS SELECT
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
        groupUniqArrayIf(assumeNotNull(agent), part = 'case' AND part_status != 'refused') AS took,
        -- What was replayed, or offered again to an agent that took it then, needs no attention any more. Of what needs as
        -- much attention the later counts: an agent may refuse an event first and reject it when it is offered again.
        arraySort(one -> (one.1, -toUnixTimestamp64Micro(one.6)), arrayFilter(
            one -> NOT (is_replayed AND one.2 = 'dead_letter') AND NOT (one.2 = 'rejected' AND has(took, one.3)),
            groupArray((attention, part, ifNull(agent, ''), part_status, part_reason, latest_at)))) AS parts,
        parts[1].4 AS status,
        parts[1].5 AS reason
    FROM
    (
        SELECT
            subject, event_source, event_id, event_type, case_id, agent, '' AS unread, 'case' AS part,
            status AS part_status, reason AS part_reason, received_at AS first_at, last_at AS latest_at,
            indexOf(['running', 'needs_approval', 'deferred', 'waiting', 'failed', 'refused', 'escalated', 'completed', 'dry_run',
                'ignored'], status) AS attention
        FROM cases
        WHERE 1 /* narrower */
        UNION ALL
        SELECT
            r.subject, toString(r.event_source), r.event_id, toString(r.event_type), r.case_id, toString(r.agent),
            if(r.event_id = '', JSONExtractString(r.detail, 'dead_letter_id'), ''), toString(r.kind),
            -- Nothing of such an event has failed: no case was made of it.
            if(r.kind = 'rejected', 'rejected', toString(r.status)), r.reason, r.time, r.time,
            -- After every case: an ignored duplicate says nothing about the event that was handled.
            indexOf(['dead_letter', 'rejected', 'refused', 'deferred', 'ignored', 'received', 'parked', 'replayed'],
                toString(r.kind))
                + if(r.kind IN ('ignored', 'received', 'parked', 'replayed'), 9, 4) AS attention
        FROM records_by_kind AS r FINAL
        WHERE r.case_id IS NULL /* narrower */
            AND r.kind IN ('received', 'ignored', 'rejected', 'refused', 'deferred', 'dead_letter', 'parked', 'replayed')
            AND (r.event_id != '' OR JSONExtractString(r.detail, 'topic') = 'ingest' OR r.kind = 'replayed')
    )
    GROUP BY subject, event_source, event_id, unread
    HAVING NOT (event_id = '' AND countIf(part = 'replayed') > 0)
)
