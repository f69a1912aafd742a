"""Counts the dead letters that nobody has resolved, for a page that many watch."""

from __future__ import annotations

from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

OPEN_LETTERS = """
SELECT ifNull(agent, '') AS agent, count() AS letters, sum(lost) AS lost
FROM (
    SELECT anyIf(r.agent, r.kind = 'dead_letter') AS agent,
        anyIf(if(JSONExtractString(r.detail, 'kind') = 'lost', JSONExtractUInt(r.detail, 'records'), 0),
            r.kind = 'dead_letter') AS lost
    FROM records_by_kind AS r FINAL
    WHERE r.kind IN ('dead_letter', 'replayed', 'discarded')
    GROUP BY r.subject, JSONExtractString(r.detail, 'dead_letter_id')
    HAVING countIf(r.kind = 'dead_letter') > 0 AND countIf(r.kind != 'dead_letter') = 0
)
GROUP BY agent
"""


@dataclass(frozen=True, slots=True)
class OpenLetters:
    """The open dead letters of one agent, or of none, and how many lost records they report."""

    agent: str
    letters: int
    lost: int


def open_letters(client: Client) -> list[OpenLetters]:
    """The open dead letters, by agent."""
    return [OpenLetters(**row) for row in client.query(OPEN_LETTERS).named_results()]
