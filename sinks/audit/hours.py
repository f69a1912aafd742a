"""Counts each hour from the facts into the roll-ups, once no records of that hour have come for a minute.

An hour is counted as a whole, and the latest count replaces the others, so it may be counted at any time, by several
processes at once and again after an interruption. Until an hour is counted, the views read its facts: a count that is
late makes answers slower and not wrong.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from clickhouse_connect.driver.client import Client

from nightdesk.sinks.clickhouse.connection import ANY_FAILURE, one_line
from nightdesk.sinks.clickhouse.roll_ups import ROLL_UPS

log = logging.getLogger(__name__)

# Few at a time, because the sink inserts nothing meanwhile. More than a hundred would not fit into a URL.
HOURS_AT_ONCE = 4


# The time is read first, so that what a count reads is never older than the time that is recorded with it.
NOW = "SELECT toUnixTimestamp64Micro(now64(6))"
DUE = """
SELECT hour FROM open_hours WHERE closes_at <= fromUnixTimestamp64Micro({now:Int64}, 'UTC')
ORDER BY hour DESC LIMIT {at_most:UInt32}
"""
# The rows of the hours are marked as deleted at the time of the count, and replaced one microsecond later. A group of
# which nothing is left has no row in the recount, so only the mark remains.
DELETE = """
INSERT INTO {table} ({keys}, counted_at, is_deleted)
SELECT DISTINCT {keys}, fromUnixTimestamp64Micro({{now:Int64}}, 'UTC'), 1
FROM {table} FINAL WHERE hour IN {{hours:Array(DateTime('UTC'))}}
"""
COUNT = """
INSERT INTO {table}
SELECT *, fromUnixTimestamp64Micro({{now:Int64}} + 1, 'UTC'), 0
FROM {recount} WHERE hour IN {{hours:Array(DateTime('UTC'))}}
"""
COUNTED = """
INSERT INTO hour_states
SELECT
    arrayJoin({hours:Array(DateTime('UTC'))}), toDateTime64(0, 6, 'UTC'), fromUnixTimestamp64Micro({now:Int64}, 'UTC')
"""


def count_hours(client: Client, at_most: int = HOURS_AT_ONCE) -> int:
    """Count open hours of which no record came lately, the newest first; returns how many.

    Raises `connection.ANY_FAILURE`: then the hours stay open, even if some counts were written.
    """
    now = client.query(NOW).result_rows[0][0]
    hours = [row[0] for row in client.query(DUE, parameters={"now": now, "at_most": at_most}).result_rows]
    if not hours:
        return 0
    given = {"now": now, "hours": hours}
    for one in ROLL_UPS:
        client.command(DELETE.format(table=one.table, keys=", ".join(one.keys)), parameters=given)
        client.command(COUNT.format(table=one.table, recount=one.recount), parameters=given)
    client.command(COUNTED, parameters=given)
    return len(hours)


class HourCounter:
    """Counts some hours from time to time, between the inserts of a sink. It logs a failure and tries again later."""

    def __init__(self, connect: Callable[[], Client], pause_s: float) -> None:
        self._connect = connect
        self._pause_s = pause_s
        self._next = 0.0

    def turn(self) -> None:
        """Count some hours, unless nothing was left a short time ago."""
        if time.monotonic() < self._next:
            return
        try:
            with self._connect() as client:
                counted = count_hours(client)
        except ANY_FAILURE as error:
            log.warning("hours are not counted, will try again", extra={"reason": one_line(error)})
            counted = 0
        if counted < HOURS_AT_ONCE:
            self._next = time.monotonic() + self._pause_s
