"""Deletes the rows of a subject from every table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

# Each has a column `subject`. The roll-ups name no subject: their hours are counted again without it.
TABLES = (
    "decision_facts",
    "step_facts",
    "model_call_facts",
    "records_by_kind",
    "case_states",
    "case_lines",
    "follow_up_facts",
    "ids",
    "audit_records",
)

COUNT = "SELECT count() FROM {table} WHERE subject = {{subject:String}}"
DELETE = "ALTER TABLE {table} DELETE WHERE subject = {{subject:String}} SETTINGS mutations_sync = 2"
PLACES = """
INSERT INTO forgotten_places
SELECT topic, `partition`, `offset`, record_id, {digest:String}, {at:DateTime64(6, 'UTC')}
FROM audit_records WHERE subject = {subject:String}
"""
# Which places each subject had, as one digest.
PLACED = """
SELECT digest, count(), lower(hex(SHA256(arrayStringConcat(arraySort(groupArray(place)), '\n')))) FROM (
    SELECT DISTINCT digest, concat(topic, ':', `partition`, ':', `offset`, ':', record_id) AS place
    FROM forgotten_places
) GROUP BY digest
"""
HOURS = """
SELECT DISTINCT hour FROM case_states WHERE subject = {subject:String}
UNION DISTINCT SELECT DISTINCT hour FROM records_by_kind WHERE subject = {subject:String}
"""
TOUCH = """
INSERT INTO hour_states
SELECT arrayJoin({hours:Array(DateTime('UTC'))}), now64(6), toDateTime64(0, 6, 'UTC')
"""
# This many hours fit into a URL.
HOURS_AT_ONCE = 100


class Places(NamedTuple):
    """How many places a subject had on the audit topic, and their digest."""

    number: int = 0
    sha256: str = ""


def rows_of(client: Client, subject: str) -> dict[str, int]:
    """Table -> how many rows of the subject it has, copies that are not merged yet included."""
    given = {"subject": subject}
    return {table: int(client.query(COUNT.format(table=table), parameters=given).result_rows[0][0]) for table in TABLES}


def places_of(client: Client) -> dict[str, Places]:
    """The places of the deleted rows, by the digest of the forgotten subject."""
    return {digest: Places(*found) for digest, *found in client.query(PLACED).result_rows}


def delete(client: Client, subject: str, digest: str, at: datetime) -> Iterator[str]:
    """Delete the subject's rows; yields each table when its rows are gone.

    The places of the records are stored first. Their hours are opened before and afterwards, so that an hour is counted
    again without the subject, even if the deletion was interrupted.
    """
    given = {"subject": subject}
    hours = [row[0] for row in client.query(HOURS, parameters=given).result_rows]
    client.command(PLACES, parameters={**given, "digest": digest, "at": at})
    _open(client, hours)
    for table in TABLES:
        client.command(DELETE.format(table=table), parameters=given)
        yield table
    _open(client, hours)


def _open(client: Client, hours: list[datetime]) -> None:
    for first in range(0, len(hours), HOURS_AT_ONCE):
        client.command(TOUCH, parameters={"hours": hours[first : first + HOURS_AT_ONCE]})
