-- Where the sink was when a backup began: what it had committed of each partition, and the value of the hash chain there.
-- A backup copies one table after another while records land. What lies before these offsets is in every table of it; a
-- restore deletes the rest, and the sink reads it again.
CREATE TABLE IF NOT EXISTS backup_places
(
    `backup`     String,
    `started_at` DateTime64(6, 'UTC'),
    `topic`      String,
    `topic_id`   String,
    `partition`  Int32,
    `offset`     Int64,
    `chain`      String
)
ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (`backup`, `topic`, `partition`)
