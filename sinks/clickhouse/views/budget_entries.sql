-- One row for each entry about the money of a step: what was settled when it was decided, and what became unknown or was
-- corrected afterwards.
CREATE OR REPLACE VIEW budget_entries
(
    `entry`             String                           COMMENT 'settled, doubted (the step may have cost more than was held) or corrected (a person says what it cost)',
    `case_id`           Nullable(String)                 COMMENT 'case that the step belongs to',
    `step`              Int64                            COMMENT 'step of the case: 0 is the first',
    `subject`           String                           COMMENT 'what the event is about; of an entry that is doubted or corrected the agent',
    `agent`             LowCardinality(Nullable(String)) COMMENT 'agent whose budget it is',
    `held_microusd`     Int64                            COMMENT 'held for the case by the end of the step, or for the step if it is doubted or corrected, in millionths of a US dollar',
    `cost_microusd`     Int64                            COMMENT 'what the step cost: as settled, as claimed, or as corrected',
    `unanswered_microusd` Int64                          COMMENT 'part of a settled cost that is for calls without an answer',
    `day_budget_microusd` Int64                          COMMENT 'most that the agent may spend in a day by the charter that decided; 0 if the entry does not say',
    `person`            String                           COMMENT 'who corrected the cost; empty otherwise',
    `reason`            String                           COMMENT 'why it is doubted or corrected, for people',
    `time`              DateTime64(6, 'UTC')             COMMENT 'when it was settled, doubted or corrected',
    `hour`              DateTime('UTC')                  COMMENT 'hour in which the case was opened, or that of the entry: the first key of the tables'
)
AS SELECT
    'settled' AS entry,
    d.case_id AS case_id,
    d.step AS step,
    d.subject AS subject,
    d.agent AS agent,
    d.reserved_microusd AS held_microusd,
    d.cost_microusd AS cost_microusd,
    d.unanswered_microusd AS unanswered_microusd,
    d.day_budget_microusd AS day_budget_microusd,
    '' AS person,
    '' AS reason,
    d.decided_at AS time,
    d.hour AS hour
FROM decision_facts AS d FINAL
UNION ALL
SELECT
    if(JSONExtract(r.detail, 'corrected_microusd', 'Nullable(Int64)') IS NULL, 'doubted', 'corrected'),
    toNullable(JSONExtractString(r.detail, 'case_id')),
    r.step,
    r.subject,
    r.agent,
    JSONExtractInt(r.detail, 'held_microusd'),
    ifNull(JSONExtract(r.detail, 'corrected_microusd', 'Nullable(Int64)'), JSONExtractInt(r.detail, 'claimed_microusd')),
    0,
    0,
    JSONExtractString(r.detail, 'person'),
    r.reason,
    r.time,
    r.hour
FROM records_by_kind AS r FINAL
WHERE r.kind = 'budget'
