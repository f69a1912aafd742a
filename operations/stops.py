"""Evaluates the workers' reports about an order to stop.

Every worker makes its last call at most `orders_confirmed_within_ms` after the broker received the order, whether it
can read it or not (docs/decisions/0015-orders-are-confirmed.md). So the bound also holds for a silent worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.operations.installation import Installation
from nightdesk.operations.workers import Worker
from nightdesk.schemas.codec import Undecodable
from nightdesk.schemas.records import CallFate, ControlCommand, LogPlace, ObeyedOrder
from nightdesk.schemas.topics import CONTROL

# The stages that make calls.
CALLING_STAGES = ("decide", "act")
# A worker that was silent for this long before the order has lost its partitions to another one, or has exited.
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
    reports.
    """

    worker: Worker
    status: Literal["obeyed", "waiting", "silent", "stopped"]
    obeyed: ObeyedOrder | None = None

    @property
    def open_calls(self) -> int:
        """Calls that were running when the order was read and have not finished."""
        return sum(call.fate == "open" for call in self.calls)

    @property
    def positions(self) -> tuple[LogPlace, ...]:
        return self.obeyed.positions if self.obeyed else ()

    @property
    def calls(self) -> tuple[CallFate, ...]:
        return self.obeyed.calls if self.obeyed else ()


@dataclass(frozen=True, slots=True)
class Obedience:
    """The state of one order."""

    stop: ActiveStop
    workers: tuple[WorkerStop, ...]
    no_call_after: datetime

    @property
    def is_complete(self) -> bool:
        """Every live worker follows the order, and running calls have finished."""
        return not self.unconfirmed and not any(found.open_calls for found in self.workers if found.status == "obeyed")

    @property
    def unconfirmed(self) -> list[WorkerStop]:
        """The workers that have not reported that they follow the order."""
        return [found for found in self.workers if found.status in ("waiting", "silent")]


def active_stops(settings: Installation) -> dict[str, ActiveStop]:
    """The orders to stop in force, by agent; `*` is every agent. Raises `Failure`."""
    last: dict[str, ActiveStop] = {}
    with registered_codec(settings) as codec:
        for message in read_topic(settings.kafka, settings.kafka.topic_prefix + CONTROL.name):
            value = message.value()
            if value is None:
                continue
            try:
                order = codec.decode(ControlCommand, value)
            except Undecodable:
                continue  # as in the workers: it stops no agent
            if order.kind in ("pause", "stop_all", "resume"):
                at = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
                last[order.key] = ActiveStop(order, message.offset() or 0, at)
    return {key: stop for key, stop in last.items() if stop.order.kind != "resume"}


def obedience(stop: ActiveStop, workers: Sequence[Worker], default_within: timedelta) -> Obedience:
    """What the workers' last reports contain about the order."""
    found = tuple(_of_workers(stop, workers))
    bounds = [timedelta(milliseconds=each.worker.report.orders_confirmed_within_ms) for each in found]
    return Obedience(stop, found, stop.at + max((*bounds, default_within)))


def _of_workers(stop: ActiveStop, workers: Sequence[Worker]) -> Iterator[WorkerStop]:
    for worker in workers:
        report = worker.report
        if report.stage not in CALLING_STAGES or report.state == "refused":
            continue
        obeyed = next((each for each in report.orders if each.offset == stop.offset), None)
        if obeyed is not None:
            yield WorkerStop(worker, "obeyed", obeyed)
        elif report.state == "stopped" or (worker.is_silent and stop.at - worker.last_at > GONE_AFTER):
            yield WorkerStop(worker, "stopped")
        else:
            yield WorkerStop(worker, "silent" if worker.is_silent else "waiting")
