-- When the case was opened: the same in every record of a case and in every copy of a record, so tables may be sorted
-- and divided by it. A record about no case has its own time.
ALTER TABLE audit_records ADD COLUMN IF NOT EXISTS `case_at` DateTime64(6, 'UTC') DEFAULT `time` CODEC(Delta, ZSTD)
    AFTER `detail`
