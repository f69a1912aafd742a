-- One row for each dead letter: a record that could not be processed, and what a person did about it.
CREATE OR REPLACE VIEW dead_letters
(
    `subject`         String              COMMENT 'what the event is about, as the producer named it',
    `event_source`    String              COMMENT 'system that the event came from; empty if the record could not be read',
    `event_id`        String              COMMENT 'id of the event, unique within its source; empty if the record could not be read',
    `case_id`         Nullable(String)    COMMENT 'case that the record belongs to',
    `agent`           Nullable(String)    COMMENT 'name of the agent',
    `time`            DateTime64(6, 'UTC') COMMENT 'when the record failed',
    `dead_letter_id`  String              COMMENT 'id of the dead letter, as the commands of nightdesk dlq take it',
    `state`           String              COMMENT 'open, replayed or discarded',
    `stage`           String              COMMENT 'stage that failed',
    `topic`           String              COMMENT 'topic of the record, without the prefix',
    `partition`       Int64               COMMENT 'partition of the record',
    `offset`          Int64               COMMENT 'offset of the record',
    `attempted`       String              COMMENT 'what the stage was doing when it failed',
    `error`           String              COMMENT 'class of the error',
    `message`         String              COMMENT 'message of the error',
    `attempts`        Int64               COMMENT 'number of times that the record was tried, with this one and every replay before it',
    `replay_of`       Nullable(String)    COMMENT 'dead letter that was replayed and failed again as this one',
    `program_version` String              COMMENT 'version of Nightdesk that failed',
    `traceparent`     Nullable(String)    COMMENT 'trace of the event, as a W3C traceparent',
    `end_reason`      String              COMMENT 'who replayed or discarded it, and why'
)
AS WITH r.kind = 'dead_letter' AS is_letter
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
FROM records_by_kind AS r FINAL
WHERE r.kind IN ('dead_letter', 'replayed', 'discarded')
GROUP BY subject, dead_letter_id
HAVING countIf(is_letter) > 0
