"""Evaluates the workers' reports about an order to stop.

Every worker makes its last call at most `orders_confirmed_within_ms` after the broker received the order, whether it
can read it or not (docs/decisions/0015-orders-are-confirmed.md). So the bound also holds for a silent worker, which may
have been killed. docs/decisions/0046-a-dead-worker-and-an-order.md says what proves that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.operations.installation import Installation
from nightdesk.operations.stage_members import StageMembers
from nightdesk.operations.workers import Worker
from nightdesk.schemas.codec import Undecodable
from nightdesk.schemas.records import CallFate, ControlCommand, LogPlace, ObeyedOrder
from nightdesk.schemas.topics import CONTROL

# The stages that make calls.
CALLING_STAGES = ("decide", "act")
# A worker that was silent for this long before the order, and is no member of its group, has exited before it.
GONE_AFTER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class ActiveStop:
    """An order to stop that is in force. `offset` is its offset on `control`, `at` is when the broker received it."""

    order: ControlCommand
    offset: int
    at: datetime


@dataclass(frozen=True, slots=True)
class WorkerStop:
    """One worker and the order. `waiting`: it has not reported that it follows the order. `silent`: it no longer
    reports, and `doubt` says why that does not prove that it makes no call. `replaced`: it no longer reports, its
    session has ended, and the partitions of its stage belong to workers that follow the order.
    """

    worker: Worker
    status: Literal["obeyed", "waiting", "silent", "replaced", "stopped"]
    obeyed: ObeyedOrder | None = None
    doubt: str = ""

    @property
    def open_calls(self) -> int:
        """Calls that were running when the order was read and have not finished."""
        return sum(call.fate == "open" for call in self.calls)

    @property
    def positions(self) -> tuple[LogPlace, ...]:
        return self.obeyed.positions if self.obeyed else ()

    @property
    def calls(self) -> tuple[CallFate, ...]:
        """The calls that were running when the order was read. Nobody is left to say how those of an ended process
        ended.
        """
        calls = self.obeyed.calls if self.obeyed else ()
        if self.status != "replaced" and self.worker.report.state != "stopped":
            return calls
        return tuple(call.model_copy(update={"fate": "unknown"}) if call.fate == "open" else call for call in calls)


@dataclass(frozen=True, slots=True)
class Obedience:
    """The state of one order."""

    stop: ActiveStop
    workers: tuple[WorkerStop, ...]
    no_call_after: datetime

    @property
    def is_complete(self) -> bool:
        """Every live worker follows the order, and running calls have finished."""
        return not self.unconfirmed and not any(found.open_calls for found in self.workers)

    @property
    def unconfirmed(self) -> list[WorkerStop]:
        """The workers that have not reported that they follow the order."""
        return [found for found in self.workers if found.status in ("waiting", "silent")]


def active_stops(settings: Installation) -> dict[str, ActiveStop]:
    """The orders to stop in force, by agent; `*` is every agent. Raises `Failure`."""
    last: dict[str, ActiveStop] = {}
    with registered_codec(settings, ControlCommand) as codec:
        for message in read_topic(settings.kafka, settings.kafka.topic_prefix + CONTROL.name):
            value = message.value()
            if value is None:
                continue
            try:
                order = codec.decode(ControlCommand, value)
            except Undecodable:
                continue  # the workers cannot read it either, so it stops no agent
            if order.kind in ("pause", "stop_all", "resume"):
                at = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
                last[order.key] = ActiveStop(order, message.offset() or 0, at)
    return {key: stop for key, stop in last.items() if stop.order.kind != "resume"}


def obedience(
    stop: ActiveStop, workers: Sequence[Worker], members: Mapping[str, StageMembers], default_within: timedelta
) -> Obedience:
    """What the workers' last reports contain about the order, and for silent workers what the members of their stages'
    groups prove.
    """
    found = tuple(_with_proof(each, stop, workers, members) for each in _of_workers(stop, workers))
    bounds = [_at_most_a_day(each.worker.report.orders_confirmed_within_ms) for each in found]
    return Obedience(stop, found, stop.at + max((*bounds, default_within)))


def _at_most_a_day(milliseconds: int) -> timedelta:
    """Anything can be in a report; the settings allow a few minutes."""
    return timedelta(milliseconds=min(milliseconds, 86_400_000))


def _of_workers(stop: ActiveStop, workers: Sequence[Worker]) -> Iterator[WorkerStop]:
    for worker in workers:
        report = worker.report
        if report.stage not in CALLING_STAGES or report.state == "refused":
            continue
        obeyed = _obeyed(stop, worker)
        if obeyed is not None:
            yield WorkerStop(worker, "obeyed", obeyed)
        elif report.state == "stopped":
            yield WorkerStop(worker, "stopped")
        else:
            yield WorkerStop(worker, "silent" if worker.is_silent else "waiting")


def _obeyed(stop: ActiveStop, worker: Worker) -> ObeyedOrder | None:
    return next((each for each in worker.report.orders if each.offset == stop.offset), None)


def _with_proof(
    found: WorkerStop, stop: ActiveStop, workers: Sequence[Worker], members: Mapping[str, StageMembers]
) -> WorkerStop:
    """A silent worker with what its stage's group proves about it."""
    worker, stage = found.worker, found.worker.report.stage
    if not worker.is_silent:
        return found
    if members[stage].has(worker.report.instance_id):
        return replace(found, doubt="its session has not ended")
    if found.obeyed is None and stop.at - worker.last_at > GONE_AFTER:
        return replace(found, status="stopped")
    if members[stage].are_all_among(_followers(stop, stage, workers)):
        return replace(found, status="replaced")
    doubt = f"its session has ended, and its partitions do not all belong to ready workers of {stage} under the order"
    return replace(found, doubt=doubt)


def _followers(stop: ActiveStop, stage: str, workers: Sequence[Worker]) -> Iterator[str]:
    """The instance ids of the workers of the stage that follow the order and have recovered their tables."""
    for worker in workers:
        report = worker.report
        is_ready = report.state in ("ready", "paused") and not worker.is_silent
        if report.stage == stage and is_ready and _obeyed(stop, worker) is not None:
            yield report.instance_id
