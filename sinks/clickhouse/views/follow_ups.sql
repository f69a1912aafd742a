-- One row for each follow-up that a playbook asked for: an event that is to come at a time.
CREATE OR REPLACE VIEW follow_ups
(
    `timer_id`   String                           COMMENT 'id of the timer of the follow-up',
    `subject`    String                           COMMENT 'what the follow-up is about',
    `case_id`    Nullable(String)                 COMMENT 'case that asked for it',
    `agent`      LowCardinality(Nullable(String)) COMMENT 'agent that asked for it',
    `event_type` LowCardinality(String)           COMMENT 'type of the event that comes',
    `asked_at`   DateTime64(6, 'UTC')             COMMENT 'when it was asked for',
    `due_at`     DateTime64(6, 'UTC')             COMMENT 'when it comes: the first key of the table',
    `ended_by`   String                           COMMENT 'cancelled or undone if it does not come; empty otherwise'
)
AS SELECT
    f.timer_id AS timer_id,
    f.subject AS subject,
    nullIf(f.case_id, '') AS case_id,
    nullIf(f.agent, '') AS agent,
    f.event_type AS event_type,
    f.asked_at AS asked_at,
    f.due_at AS due_at,
    multiIf(f.is_cancelled = 1, 'cancelled', f.is_undone = 1, 'undone', '') AS ended_by
FROM follow_up_facts AS f FINAL
WHERE f.asked_at > toDateTime64(0, 6, 'UTC')
