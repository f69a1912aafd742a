-- One row for each step of a playbook that ran: what really happened.
CREATE OR REPLACE VIEW steps
(
    `subject`     String                           COMMENT 'what the event is about, as the producer named it',
    `case_id`     Nullable(String)                 COMMENT 'case that the step belongs to',
    `decision_id` Nullable(String)                 COMMENT 'decision that the step carries out',
    `agent`       LowCardinality(Nullable(String)) COMMENT 'name of the agent',
    `action`      LowCardinality(Nullable(String)) COMMENT 'action of the charter whose playbook ran',
    `step`        Int64                            COMMENT 'step of the case that was decided on: 0 is the first',
    `step_id`     String                           COMMENT 'id of the step of the playbook, which is its idempotency key',
    `position`    Int64                            COMMENT 'place of the step in the playbook: 0 is the first',
    `handler`     LowCardinality(String)           COMMENT 'handler that ran',
    `status`      LowCardinality(String)           COMMENT 'done, failed, unknown, skipped, undone, undo_failed, or would_have: a dry run did not make the change',
    `result`      String                           COMMENT 'result of the handler, as JSON text; of would_have the request that would have been sent',
    `error`       Nullable(String)                 COMMENT 'error of the handler',
    `attempts`    Int64                            COMMENT 'number of calls that were made; 0 where none was needed',
    `from_cache`  UInt8                            COMMENT '1 if the result is that of an earlier call',
    `started_at`  Nullable(DateTime64(6, 'UTC'))   COMMENT 'when the step began',
    `latency_ms`  Int64                            COMMENT 'time that the step took, in milliseconds',
    `recorded_at` DateTime64(6, 'UTC')             COMMENT 'when the playbook ended',
    `hour`        DateTime('UTC')                  COMMENT 'hour in which the case was opened: the first key of the table'
)
AS SELECT
    f.subject AS subject,
    f.case_id AS case_id,
    f.decision_id AS decision_id,
    f.agent AS agent,
    f.action AS action,
    f.step AS step,
    f.step_id AS step_id,
    f.position AS position,
    f.handler AS handler,
    f.status AS status,
    f.result AS result,
    f.error AS error,
    f.attempts AS attempts,
    f.from_cache AS from_cache,
    f.started_at AS started_at,
    f.latency_ms AS latency_ms,
    f.recorded_at AS recorded_at,
    f.hour AS hour
FROM step_facts AS f FINAL
