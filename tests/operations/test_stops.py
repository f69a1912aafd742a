"""What is known of an order to stop, from the workers' reports alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import pytest

from nightdesk.operations.stage_members import StageMembers
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


def _members(*instance_ids: str, is_stable: bool = True) -> dict[str, StageMembers]:
    names = frozenset(f"nightdesk-act-{instance_id}" for instance_id in instance_ids)
    return {"act": StageMembers("nightdesk-act", is_stable, names)}


NOBODY = _members(is_stable=False)


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
    found = obedience(STOP, [worker], NOBODY, WITHIN)
    assert [each.status for each in found.workers] == [status]
    assert found.is_complete == complete
    assert bool(found.unconfirmed) == (status in ("waiting", "silent"))


def test_only_what_calls_the_outside_is_asked() -> None:
    others = [_worker(_report(stage)) for stage in ("ingest", "budget", "timers")]
    twin = _worker(_report(state="refused"))
    assert obedience(STOP, [*others, twin], NOBODY, WITHIN).workers == ()


@pytest.mark.parametrize(("bounds_ms", "seconds"), [((), 5), ((5000, 9000), 9), ((2000,), 5)])
def test_no_call_begins_later_than_the_longest_bound(bounds_ms: tuple[int, ...], seconds: int) -> None:
    workers = [_worker(_report(orders_confirmed_within_ms=bound)) for bound in bounds_ms]
    assert obedience(STOP, workers, NOBODY, WITHIN).no_call_after == NOW + timedelta(seconds=seconds)


def _beside(state: Literal["ready", "not_ready"] = "ready", silent_for_s: float = 0.0, **fields: Any) -> Worker:
    """The other worker of the stage."""
    told = Identity("act", "1").report(state, NOW).model_copy(update={"orders_confirmed_within_ms": 5000, **fields})
    return _worker(told, silent_for_s)


FOLLOWS = _beside(orders=(_obeyed(),))


@pytest.mark.parametrize(
    ("beside", "members", "status"),
    [
        (FOLLOWS, _members("1"), "replaced"),
        (FOLLOWS, _members("0", "1"), "silent"),  # its session lasts
        (FOLLOWS, _members("1", is_stable=False), "silent"),  # nobody has its partitions yet
        (FOLLOWS, _members("1", "2"), "silent"),  # they may belong to somebody who does not report
        (FOLLOWS, _members("1", "rdkafka-7"), "silent"),
        (FOLLOWS, _members(), "silent"),
        (_beside(), _members("1"), "silent"),  # its successor has not read the order
        (_beside(orders=(_obeyed(7),)), _members("1"), "silent"),
        (_beside("not_ready", orders=(_obeyed(),)), _members("1"), "silent"),
        (_beside(silent_for_s=10, orders=(_obeyed(),)), _members("1"), "silent"),
    ],
)
def test_a_killed_worker_is_proven_by_its_session_and_its_successor(
    beside: Worker, members: dict[str, StageMembers], status: str
) -> None:
    killed = _worker(_report(), silent_for_s=10)
    found = obedience(STOP, [killed, beside], members, WITHIN)
    assert found.workers[0].status == status
    assert found.is_complete == (status == "replaced")
    assert bool(found.workers[0].doubt) == (status == "silent")


def test_the_running_calls_of_a_killed_worker_are_unknown_when_it_is_replaced() -> None:
    killed = _worker(_report(orders=(_obeyed(8, "done", "open"),)), silent_for_s=10)
    still = obedience(STOP, [killed, FOLLOWS], _members("0", "1"), WITHIN)
    assert (still.is_complete, still.workers[0].status, still.workers[0].open_calls) == (False, "obeyed", 1)
    found = obedience(STOP, [killed, FOLLOWS], _members("1"), WITHIN)
    assert (found.is_complete, found.workers[0].status) == (True, "replaced")
    assert [call.fate for call in found.workers[0].calls] == ["done", "unknown"]


def test_the_running_calls_of_a_worker_that_was_told_to_stop_are_unknown_too() -> None:
    found = obedience(STOP, [_worker(_report(state="stopped", orders=(_obeyed(8, "open"),)))], NOBODY, WITHIN)
    assert (found.is_complete, [call.fate for call in found.workers[0].calls]) == (True, ["unknown"])


def test_a_member_that_has_long_been_silent_has_not_exited() -> None:
    killed = _worker(_report(), silent_for_s=GONE_AFTER.total_seconds() + 1)
    assert obedience(STOP, [killed], _members("0"), WITHIN).workers[0].status == "silent"
