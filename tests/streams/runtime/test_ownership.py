"""How far a worker is with reading its tables, and who is told."""

import asyncio
import urllib.error
import urllib.request
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import faust
from faust.types import TP

from nightdesk.local.parts import LOOPBACK
from nightdesk.local.ports import claim_port
from nightdesk.streams.runtime.ownership import Ownership
from nightdesk.streams.runtime.process import health

FIRST, SECOND, EMPTY = (TP("table-changelog", number) for number in range(3))


def _reading(*, in_recovery: bool = True) -> tuple[Ownership, Any]:
    """A worker in recovery: the last record of the first partition is at offset 99, of the second at 9."""
    recovery = SimpleNamespace(
        in_recovery=in_recovery,
        completed=asyncio.Event(),
        active_offsets=Counter({FIRST: 39}),
        active_highwaters=Counter({FIRST: 99, SECOND: 9, EMPTY: -1}),
    )
    app = SimpleNamespace(rebalancing=False, started=True, tables=SimpleNamespace(recovery=recovery))
    return Ownership(cast("faust.App", app), "ingest", ()), recovery


def test_what_is_left_counts_also_where_no_record_came_yet() -> None:
    """Faust's own count began with the first record of each partition, and so showed the end before it began."""
    ownership, recovery = _reading()
    assert ownership.records_left() == 60 + 10
    recovery.active_offsets[SECOND] = None
    recovery.active_highwaters[EMPTY] = None
    assert ownership.records_left() == 60 + 10, "Faust has None where it does not know an offset"
    recovery.active_offsets[SECOND] = 9
    recovery.active_offsets[FIRST] = 98
    assert ownership.records_left() == 1
    recovery.in_recovery = False
    assert ownership.records_left() == 0


async def test_the_health_page_says_how_much_is_left() -> None:
    ownership, recovery = _reading()
    port = claim_port(0, "")
    runner = await health.serve(port, ownership.why_not_ready, LOOPBACK)
    try:
        assert await asyncio.to_thread(_ready, port) == (503, "not ready: 70 records of its tables are left to read\n")
        recovery.in_recovery = False
        assert await asyncio.to_thread(_ready, port) == (503, "not ready: no partitions yet\n")
    finally:
        await runner.cleanup()


def _ready(port: int) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/readyz", timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
