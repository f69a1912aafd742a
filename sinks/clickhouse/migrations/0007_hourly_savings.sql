-- What completed cases saved, and what calls without an answer cost, by hour. Hours that were counted before have no
-- baselines, so 0 is right for them.
ALTER TABLE hourly_counts
    ADD COLUMN IF NOT EXISTS `unanswered_microusd` Int64 CODEC(T64, ZSTD) AFTER `reconsidered`,
    ADD COLUMN IF NOT EXISTS `saved_s` Int64 CODEC(T64, ZSTD) AFTER `unanswered_microusd`,
    ADD COLUMN IF NOT EXISTS `saved_microusd` Int64 CODEC(T64, ZSTD) AFTER `saved_s`
