"""What is known of an order to stop, from the workers' reports alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from nightdesk.operations.stops import GONE_AFTER, ActiveStop, obedience
from nightdesk.operations.workers import Worker
from nightdesk.schemas.records import CallFate, ObeyedOrder, WorkerReport
from nightdesk.streams.identity import Identity
from tests.processors.examples import NOW
from tests.streams.stages.stage_harness import order

STOP = ActiveStop(order("stop_all", "*", "*"), offset=8, at=NOW)
WITHIN = timedelta(seconds=5)


def _report(stage: str = "act", **fields: Any) -> WorkerReport:
    return Identity(stage, "0").report("ready", NOW).model_copy(update={"orders_confirmed_within_ms": 5000, **fields})


def _obeyed(offset: int = 8, *fates: Any) -> ObeyedOrder:
    calls = tuple(CallFate(call_id=str(number), agent="desk", fate=fate) for number, fate in enumerate(fates))
    return ObeyedOrder(agent="*", kind="stop_all", offset=offset, obeyed_at=NOW, calls=calls)


def _worker(report: WorkerReport, silent_for_s: float = 0.0) -> Worker:
    return Worker(report, NOW - timedelta(seconds=silent_for_s), is_silent=silent_for_s > 0)


@pytest.mark.parametrize(
    ("worker", "status", "complete"),
    [
        (_worker(_report(orders=(_obeyed(),))), "obeyed", True),
        (_worker(_report(orders=(_obeyed(8, "done", "unknown", "cancelled"),))), "obeyed", True),
        (_worker(_report(orders=(_obeyed(8, "done", "open"),))), "obeyed", False),
        (_worker(_report(orders=(_obeyed(7),))), "waiting", False),  # an earlier order of the same agent
        (_worker(_report()), "waiting", False),
        (_worker(_report(state="not_ready")), "waiting", False),
        (_worker(_report(state="stopped")), "stopped", True),
        (_worker(_report(), silent_for_s=10), "silent", False),
        (_worker(_report(), silent_for_s=GONE_AFTER.total_seconds()), "silent", False),
        (_worker(_report(), silent_for_s=GONE_AFTER.total_seconds() + 1), "stopped", True),
        (_worker(_report(orders=(_obeyed(),)), silent_for_s=10), "obeyed", True),
    ],
)
def test_what_one_worker_says(worker: Worker, status: str, complete: bool) -> None:
    found = obedience(STOP, [worker], WITHIN)
    assert [each.status for each in found.workers] == [status]
    assert found.is_complete == complete
    assert bool(found.unconfirmed) == (status in ("waiting", "silent"))


def test_only_what_calls_the_outside_is_asked() -> None:
    others = [_worker(_report(stage)) for stage in ("ingest", "budget", "timers")]
    twin = _worker(_report(state="refused"))
    assert obedience(STOP, [*others, twin], WITHIN).workers == ()


@pytest.mark.parametrize(("bounds_ms", "seconds"), [((), 5), ((5000, 9000), 9), ((2000,), 5)])
def test_no_call_begins_later_than_the_longest_bound(bounds_ms: tuple[int, ...], seconds: int) -> None:
    workers = [_worker(_report(orders_confirmed_within_ms=bound)) for bound in bounds_ms]
    assert obedience(STOP, workers, WITHIN).no_call_after == NOW + timedelta(seconds=seconds)
