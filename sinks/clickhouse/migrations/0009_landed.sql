-- When a place and a link were stored. Places go by it, so what a partition loses are its oldest offsets and no gaps
-- between others, and the ranges behind a link that is young enough are whole. For rows that are there it is now.
ALTER TABLE audit_places ADD COLUMN IF NOT EXISTS `landed_at` DateTime('UTC') DEFAULT now('UTC') CODEC(Delta, ZSTD);

ALTER TABLE audit_places MATERIALIZE COLUMN `landed_at` SETTINGS mutations_sync = 2;

ALTER TABLE audit_links ADD COLUMN IF NOT EXISTS `landed_at` DateTime('UTC') DEFAULT now('UTC') CODEC(Delta, ZSTD);

ALTER TABLE audit_links MATERIALIZE COLUMN `landed_at` SETTINGS mutations_sync = 2
