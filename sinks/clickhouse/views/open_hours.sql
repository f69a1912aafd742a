-- One row for each hour that has to be counted from the facts: a record of it came after it was counted, or so shortly
-- before that its facts may not have been there yet.
CREATE OR REPLACE VIEW open_hours
(
    `hour`      DateTime('UTC')         COMMENT 'hour in which cases were opened',
    `closes_at` DateTime64(6, 'UTC')    COMMENT 'from when on a count has all of its facts, unless more records come'
)
AS SELECT hour, max(touched_at) + toIntervalSecond(60) AS closes_at
FROM hour_states
GROUP BY hour
HAVING closes_at > max(counted_at)
