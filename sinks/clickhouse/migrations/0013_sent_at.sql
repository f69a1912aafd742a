-- When the last provider of a question was called, by the worker's clock: what an order to stop is compared with.
-- Questions of older versions have no such time.
ALTER TABLE model_call_facts ADD COLUMN IF NOT EXISTS `sent_at` Nullable(DateTime64(6, 'UTC')) AFTER `latency_ms`;

ALTER TABLE model_call_facts_of_records MODIFY QUERY
SELECT
    toStartOfHour(toDateTime(r.case_at, 'UTC')) AS hour,
    r.record_id AS record_id,
    r.subject AS subject,
    r.case_id AS case_id,
    r.agent AS agent,
    r.charter_version AS charter_version,
    r.step AS step,
    JSONExtractInt(r.detail, 'attempt') AS attempt,
    r.time AS asked_at,
    toUInt8(JSONExtractBool(r.detail, 'answered')) AS answered,
    r.provider AS provider,
    r.model AS model,
    JSONExtractString(r.detail, 'stop_reason') AS stop_reason,
    JSONExtractString(r.detail, 'request_id') AS request_id,
    JSONExtractString(r.detail, 'prompt_sha256') AS prompt_sha256,
    JSONExtractInt(r.detail, 'input_tokens') AS input_tokens,
    JSONExtractInt(r.detail, 'output_tokens') AS output_tokens,
    JSONExtractInt(r.detail, 'cost_microusd') AS cost_microusd,
    JSONExtractInt(r.detail, 'unanswered_microusd') AS unanswered_microusd,
    JSONExtractInt(r.detail, 'latency_ms') AS latency_ms,
    parseDateTime64BestEffortOrNull(JSONExtractString(r.detail, 'sent_at'), 6, 'UTC') AS sent_at,
    JSONExtractRaw(r.detail, 'fallbacks') AS fallbacks,
    JSONExtractString(r.detail, 'prompt') AS prompt,
    JSONExtractString(r.detail, 'reply') AS reply,
    bitNot(bitOr(bitShiftLeft(toUInt64(r.incarnation), 48), toUInt64(r.`offset`))) AS precedence
FROM audit_feed AS r
WHERE r.kind = 'asked'
