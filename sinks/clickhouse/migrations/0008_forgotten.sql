-- Where the records of forgotten subjects lay on the audit topic: rows that are missing because somebody had them deleted.
-- `digest` is the keyed digest of the subject.
CREATE TABLE IF NOT EXISTS forgotten_places
(
    `topic`        LowCardinality(String),
    `partition`    Int32 CODEC(T64, ZSTD),
    `offset`       Int64 CODEC(T64, ZSTD),
    `record_id`    String CODEC(ZSTD),
    `digest`       String CODEC(ZSTD),
    `forgotten_at` DateTime64(6, 'UTC') CODEC(Delta, ZSTD)
)
ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (`topic`, `partition`, `offset`, `record_id`)
