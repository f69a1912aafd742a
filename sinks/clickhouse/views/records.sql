-- One row for each audit record. FINAL removes repeated records before ClickHouse has merged them, so every view that
-- reads this one is right at any time.
CREATE OR REPLACE VIEW records
(
    `record_id`       String                          COMMENT 'id, derived from what is recorded: a repeated record has the same',
    `kind`            LowCardinality(String)          COMMENT 'what the record says, and which fields its detail has',
    `time`            DateTime64(6, 'UTC')            COMMENT 'when it happened',
    `subject`         String                          COMMENT 'what the event is about, as the producer named it: a ticket, a customer. The first key of the table',
    `event_id`        String                          COMMENT 'id of the event, unique within its source; empty where there is no event or it could not be read',
    `event_source`    LowCardinality(String)          COMMENT 'system that the event came from; empty as event_id is',
    `event_type`      LowCardinality(String)          COMMENT 'type of the event; empty as event_id is',
    `case_id`         Nullable(String)                COMMENT 'case: the handling of one event by one agent',
    `agent`           LowCardinality(Nullable(String)) COMMENT 'name of the agent',
    `charter_version` LowCardinality(Nullable(String)) COMMENT 'version of the charter that the case is handled by: a digest of its content',
    `step`            Int64                           COMMENT 'step of the case: 0 is the first, each research result begins another',
    `decision_id`     Nullable(String)                COMMENT 'decision that the record is about',
    `action`          LowCardinality(Nullable(String)) COMMENT 'action of the charter that was decided on',
    `confidence`      Nullable(Float64)               COMMENT 'confidence of the decision, from 0 to 1',
    `disposition`     LowCardinality(Nullable(String)) COMMENT 'what the rules and gates let become of the decision: execute, needs_approval, dry_run or refused',
    `status`          LowCardinality(String)          COMMENT 'status of the case from this record on',
    `provider`        LowCardinality(Nullable(String)) COMMENT 'who decided: a model provider, or rules',
    `model`           LowCardinality(Nullable(String)) COMMENT 'model that decided',
    `input_tokens`    Int64                           COMMENT 'tokens that the model read',
    `output_tokens`   Int64                           COMMENT 'tokens that the model wrote',
    `cost_microusd`   Int64                           COMMENT 'cost of the model calls, in millionths of a US dollar',
    `latency_ms`      Int64                           COMMENT 'time that the model calls took, in milliseconds',
    `traceparent`     Nullable(String)                COMMENT 'trace of the event, as a W3C traceparent',
    `reason`          String                          COMMENT 'reason for the status, for people',
    `detail`          String                          COMMENT 'further fields as JSON text; which ones depends on kind',
    `case_at`         DateTime64(6, 'UTC')            COMMENT 'when the case was opened, the same in all of its records; without a case the time of the record',
    `topic`           LowCardinality(String)          COMMENT 'Kafka topic that the record was read from, with the prefix',
    `partition`       Int32                           COMMENT 'partition that the record was read from',
    `offset`          Int64                           COMMENT 'offset that the record was read from',
    `incarnation`     UInt16                          COMMENT 'number of the topic, if it was deleted and created again: offsets begin at 0 again'
)
AS SELECT
    record_id, kind, time, subject, event_id, event_source, event_type, case_id, agent, charter_version, step,
    decision_id, action, confidence, disposition, status, provider, model, input_tokens, output_tokens, cost_microusd,
    latency_ms, traceparent, reason, detail, case_at, topic, `partition`, `offset`, incarnation
FROM audit_records FINAL
