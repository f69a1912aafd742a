-- How many decisions of an hour wait for a person's answer: where approvals are looked for, instead of among all that were
-- ever asked for. Hours with approvals are counted again.
ALTER TABLE hourly_counts ADD COLUMN IF NOT EXISTS `open_approvals` UInt64 CODEC(T64, ZSTD) AFTER `saved_microusd`;

INSERT INTO hour_states
SELECT hour, now64(6), toDateTime64(0, 6, 'UTC') FROM (SELECT DISTINCT hour FROM records_by_kind WHERE kind = 'approval')
