"""Waits until an order to stop is obeyed, and verifies it with the workers' reports and the audit."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.halted_decisions import HaltedDecisions, halted_decisions
from nightdesk.operations.installation import Installation
from nightdesk.operations.orders import EVERY_AGENT
from nightdesk.operations.stage_members import StageMembers, stage_members
from nightdesk.operations.stage_status import behind, open_transactions, topic_bounds
from nightdesk.operations.stops import CALLING_STAGES, ActiveStop, Obedience, WorkerStop, active_stops, obedience
from nightdesk.operations.workers import Worker, read_workers
from nightdesk.processors.execution import order_against
from nightdesk.schemas.topics import AUDIT, CONTROL
from nightdesk.sinks.late_calls import LateCall, late_questions, late_steps

LOOK_AGAIN_AFTER_S = 0.5
# Anything can be in a report.
CLOCKS_DIFFER_AT_MOST_MS = 100 * 365 * 86_400_000


@dataclass(frozen=True, slots=True)
class StopCheck:
    """The state of an order to stop. `late` are the calls that started after its bound, the oldest first; None if the
    audit was not read. `held_back` are the decisions that wait for the end of an order.
    """

    obedience: Obedience
    held_back: tuple[HaltedDecisions, ...]
    late: tuple[LateCall, ...] | None = None

    def check(self) -> None:
        """Raises `Failure` if a call started after the bound or a worker has not confirmed."""
        if self.late:
            last = self.late[-1]
            raise Failure(
                f"{len(self.late)} calls started after the order, the last at {_time(last.started_at)}",
                f"See `nightdesk why {last.case_id}`",
                FailureKind.ACTED_AFTER_STOP,
            )
        _check_confirmed(self.obedience)


def wait_for_stop(installation: Installation, agent: str, confirmed_within_s: float, timeout_s: float) -> StopCheck:
    """Wait until all workers obey the order in force for an agent, or the time is over. Returns their state.

    `confirmed_within_s` bounds the calls of a silent worker. Raises `Failure` if no order is in force.
    """
    found = _wait_until_obeyed(installation, _standing(installation, agent), confirmed_within_s, timeout_s)
    return StopCheck(found, tuple(halted_decisions(installation)))


def verify_stop(installation: Installation, agent: str, confirmed_within_s: float, timeout_s: float) -> StopCheck:
    """Like `wait_for_stop`, with the calls in the audit that started after the order. Raises `Failure`, also if the
    audit is not complete in time.
    """
    check = wait_for_stop(installation, agent, confirmed_within_s, timeout_s)
    found = check.obedience
    _wait_for_audit(installation, timeout_s)
    after = found.no_call_after + clocks_differ_by(found.workers)
    holds_escalations = order_against((found.stop.order,), escalates=True) is not None
    with clickhouse(installation.clickhouse) as client:
        late = late_steps(client, agent, after, escalations=holds_escalations)
        late += late_questions(client, agent, after)
    return replace(check, late=tuple(sorted(late, key=lambda call: call.started_at)))


def unconfirmed_text(found: WorkerStop) -> str:
    """Text for people: the workers that have not confirmed, and their state."""
    worker = found.worker
    if found.status == "silent":
        return f"{worker.name} (silent since {_time(worker.last_at)}: {found.doubt})"
    if worker.unreadable:
        return f"{worker.name} (its report of {_time(worker.last_at)} cannot be read: {worker.unreadable})"
    return f"{worker.name} (reports, and has not read the order)"


def _check_confirmed(found: Obedience) -> None:
    if found.unconfirmed:
        who = "; ".join(unconfirmed_text(each) for each in found.unconfirmed)
        raise Failure(
            f"not confirmed: {who}",
            f"Every worker's own bound prevents calls after {_time(found.no_call_after)}. A killed worker is not"
            " named any more when its session has ended and workers have its partitions (start one if none runs),"
            " then: nightdesk stop verify",
            FailureKind.NOT_READY,
        )
    still_open = sum(each.open_calls for each in found.workers)
    if still_open:
        raise Failure(
            f"{still_open} running calls have not finished",
            "They started before the order. Check again: nightdesk stop verify",
            FailureKind.NOT_READY,
        )


def _standing(installation: Installation, agent: str) -> ActiveStop:
    """The agent's own order, or the one for every agent."""
    stops = active_stops(installation)
    stop = stops.get(agent) or stops.get(EVERY_AGENT)
    if stop is None:
        _check_orders_readable(installation)
        whom = "any agent" if agent == EVERY_AGENT else agent
        known = f"Stopped are {', '.join(sorted(stops))}" if stops else "Give one: nightdesk stop-all --wait"
        raise Failure(f"no order to stop is in force for {whom}", known, FailureKind.NOT_FOUND)
    return stop


def _check_orders_readable(installation: Installation) -> None:
    """Raises `Failure` if an open transaction on `control` hides orders: the one that was just given, for example."""
    for transaction in open_transactions(installation.kafka, [CONTROL.name]):
        raise Failure(
            f"orders cannot be read: {transaction}",
            "No worker makes a call meanwhile. End it (kafka-transactions.sh abort), then: nightdesk stop verify",
            FailureKind.NOT_READY,
        )


def _wait_until_obeyed(
    installation: Installation, stop: ActiveStop, confirmed_within_s: float, timeout_s: float
) -> Obedience:
    until = time.monotonic() + timeout_s
    while True:
        workers = read_workers(installation)
        members = _members(installation, workers)
        found = obedience(stop, workers, members, timedelta(seconds=confirmed_within_s))
        if found.is_complete or time.monotonic() > until:
            return found
        time.sleep(LOOK_AGAIN_AFTER_S)


def _members(installation: Installation, workers: Sequence[Worker]) -> Mapping[str, StageMembers]:
    """The members of the groups in which a worker is silent, because only its group proves anything about it."""
    silent = {each.report.stage for each in workers if each.is_silent and each.report.stage in CALLING_STAGES}
    return stage_members(installation.kafka, silent) if silent else {}


def _wait_for_audit(installation: Installation, timeout_s: float) -> None:
    """Wait until the audit records of now are in ClickHouse. Later records are not waited for, because new events add
    records all the time.
    """
    until = time.monotonic() + timeout_s
    audit = topic_bounds(installation.kafka, AUDIT.name)
    while lag := behind(installation.kafka, "sink", audit):
        if time.monotonic() > until:
            raise Failure(
                f"the sink is {lag} records behind, so the audit is not complete",
                "Ask again: nightdesk stop verify",
                FailureKind.NOT_READY,
            )
        time.sleep(LOOK_AGAIN_AFTER_S)


def clocks_differ_by(workers: Sequence[WorkerStop]) -> timedelta:
    """The largest difference between a worker's clock, which gives the start of a call, and the broker's, which gives
    the time of the order.
    """
    offsets = [abs(each.worker.report.clock_offset_ms or 0) for each in workers]
    return timedelta(milliseconds=min(max(offsets, default=0), CLOCKS_DIFFER_AT_MOST_MS))


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
