"""A part of other queries: the events that made no case although an agent or the pipeline should have taken them.

An event is `rejected` if an agent would accept it and its data breaks the agent's schema. It has `failed` if it could
not be read or accepted at all: it is a dead letter, and the view `ends` calls it so, too. Queries that list or count
what went wrong add these events to the cases.
"""

from __future__ import annotations

REJECTED = "rejected"

# `id` is the argument for `nightdesk why`; of a message without a key that could not be read it is the id of its dead
# letter. An event that was offered again is listed once: not at all if its agent took it then, and as the case that it
# is if the limit of its subject refused it last. A letter that was replayed is none any more, and what became of its
# record has a record of its own. A producer may send one event twice, so both letters of it are one row.
EVENTS_WITHOUT_CASE = """
SELECT r.event_id AS id, 'rejected' AS status, ifNull(toString(r.agent), '') AS agent, r.subject AS subject,
    r.event_id AS event_id, toString(any(r.event_type)) AS event_type, argMax(r.reason, r.time) AS reason,
    max(r.time) AS last_at
FROM records_by_kind AS r FINAL
WHERE (r.kind = 'rejected' OR (r.kind = 'refused' AND JSONHas(r.detail, 'offset')))
    AND r.time >= {since:DateTime64(6, 'UTC')}
    AND (ifNull(toString(r.agent), ''), r.subject, r.event_source, r.event_id) NOT IN (
        SELECT ifNull(toString(t.agent), ''), t.subject, t.event_source, t.event_id FROM records AS t
        WHERE t.kind = 'received' AND t.subject IN (
            SELECT subject FROM records_by_kind WHERE kind = 'rejected' AND time >= {since:DateTime64(6, 'UTC')}))
GROUP BY r.subject, r.event_source, r.event_id, r.agent
HAVING argMax(r.kind, r.time) = 'rejected'
UNION ALL
SELECT any(letter.shown_id) AS id, 'failed' AS status, max(letter.agent) AS agent, letter.subject AS subject,
    letter.event_id AS event_id, max(letter.event_type) AS event_type,
    argMax(letter.reason, letter.failed_at) AS reason, max(letter.failed_at) AS last_at
FROM (
    SELECT r.subject AS subject, max(toString(r.event_source)) AS event_source, max(r.event_id) AS event_id,
        max(toString(r.event_type)) AS event_type, max(ifNull(toString(r.agent), '')) AS agent,
        JSONExtractString(r.detail, 'dead_letter_id') AS letter_id,
        multiIf(event_id != '', event_id, subject != '', subject, letter_id) AS shown_id,
        argMaxIf(r.reason, r.time, r.kind = 'dead_letter') AS reason,
        maxIf(r.time, r.kind = 'dead_letter') AS failed_at
    FROM records_by_kind AS r FINAL
    WHERE r.kind IN ('dead_letter', 'replayed') AND r.case_id IS NULL AND r.time >= {since:DateTime64(6, 'UTC')}
    GROUP BY r.subject, letter_id
    HAVING countIf(r.kind = 'dead_letter') > 0 AND countIf(r.kind = 'replayed') = 0
        AND (event_id != '' OR anyIf(JSONExtractString(r.detail, 'topic'), r.kind = 'dead_letter') = 'ingest')
) AS letter
GROUP BY letter.subject, letter.event_source, letter.event_id, if(letter.event_id = '', letter.letter_id, '')
"""
