"""Reports the state of a stage process on the compacted topic `workers`, about once a second.

`nightdesk status`, `stop-all --wait` and `stop verify` read the reports, and so does a process that is about to start
with the same instance id (`twins.py`). The broker stamps each report with its clock, so every delivery shows the offset
of our clock. A report that cannot be delivered is dropped, because the next one replaces it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from nightdesk.messaging.clients import ClientConfig, new_producer
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import CallFate, LogPlace, ObeyedOrder, WorkerReport, WorkerState
from nightdesk.schemas.topics import WORKERS
from nightdesk.streams import broker_clock
from nightdesk.streams.calls_under_way import CallUnderWay
from nightdesk.streams.charter_audit import CharterAudit
from nightdesk.streams.control import Control, Stop
from nightdesk.streams.identity import Identity
from nightdesk.streams.metrics import CLOCK_OFFSET
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.boottime import boottime_s

log = logging.getLogger(__name__)

EVERY_S = 1.0
DELIVERY_TIMEOUT_S = 5.0
# The end of a delivery is when we poll for it. Polled with the next report, a second later, it would show every clock
# half a second off.
LISTEN_AFTER_S = 0.02
# A clock with a larger offset is logged.
CLOCK_OFF_BY_MS = 1000
# Bounds the size of a report, whatever is running and however many agents are paused: the newest orders are included.
CALLS_NAMED = 500
ORDERS_TOLD = 50
CHARTERS_TOLD = 50

OnDelivery = Callable[[KafkaError | None, Message], None]


class Reported(Protocol):
    """What a report contains about the stage."""

    @property
    def ready(self) -> bool: ...

    @property
    def is_paused(self) -> bool: ...

    @property
    def records_left(self) -> int: ...

    def positions(self) -> Mapping[tuple[str, int], int]:
        """(topic with its prefix, partition) -> next offset to read."""


@dataclass(slots=True)
class _Obeyed:
    """An order to stop since it was read. Partitions that are assigned later are added with their next offset at that
    time.
    """

    stop: Stop
    calls: list[CallUnderWay]
    positions: dict[tuple[str, int], int] = field(default_factory=dict)


class WorkerReports:
    """The reports of one process. Everything except the delivery happens on the loop."""

    def __init__(self, me: Identity, control: Control, codec: Codec, policy: WorkerPolicy) -> None:
        self._me = me
        self._control = control
        self._codec = codec
        self._prefix = policy.topic_prefix
        self._clock = policy.clock
        self._confirmed_clock = policy.confirmed_clock
        self._clock_offset_ms: int | None = None
        self._is_off = False
        self._obeyed: dict[int, _Obeyed] = {}
        self._producer = reports_producer(policy.client_config)
        self._charter_audit = CharterAudit(me, control, codec, policy.topic_prefix, policy.clock)

    async def run(self, stage: Reported) -> None:
        """Report repeatedly, and at once after an order to stop was read. Never returns; starts with the loop."""
        loop, ordered = asyncio.get_running_loop(), asyncio.Event()

        def look() -> None:
            self._look(stage)
            ordered.set()

        self._control.on_stop = lambda: loop.call_soon_threadsafe(look)  # type: ignore[assignment]  # its handle is nobody's
        while True:
            self._look(stage)
            self._say(self._report(_state(stage), stage.records_left))
            self._charter_audit.record(self._producer)
            loop.call_later(LISTEN_AFTER_S, self._producer.poll, 0)
            try:
                await asyncio.wait_for(ordered.wait(), EVERY_S)
                ordered.clear()
            except TimeoutError:
                continue

    def say_stopped(self) -> None:
        """The last report of a process that was told to stop. Returns when it is delivered or given up."""
        self._say(self._report("stopped"))
        self._producer.flush(DELIVERY_TIMEOUT_S)

    def _look(self, stage: Reported) -> None:
        """Note new orders to stop: which calls were running when they were read, and the offsets at that time."""
        stops = self._control.stops()
        standing = {stop.offset for stop in stops}
        self._obeyed = {offset: obeyed for offset, obeyed in self._obeyed.items() if offset in standing}
        for stop in stops:
            if stop.offset not in self._obeyed:
                calls = self._control.calls.at(stop.obeyed_at_s, stop.order.agent)
                self._obeyed[stop.offset] = _Obeyed(stop, calls)
            known = self._obeyed[stop.offset].positions
            for place, position in stage.positions().items():
                known.setdefault(place, position)

    def _report(self, state: WorkerState, recovery_remaining: int = 0) -> WorkerReport:
        confirmation, now = self._control.confirmation, self._clock()
        ever = confirmation.age_s != float("inf")
        return self._me.report(state, now).model_copy(
            update={
                "clock_offset_ms": self._clock_offset_ms,
                "orders_confirmed_within_ms": int(confirmation.within_s * 1000) if ever else 0,
                "orders_confirmed_at": now - timedelta(seconds=confirmation.age_s) if ever else None,
                "recovery_remaining": recovery_remaining,
                "control_offset": self._control.read_up_to,
                "orders": tuple(
                    self._told(self._obeyed[offset], now) for offset in sorted(self._obeyed)[-ORDERS_TOLD:]
                ),
                "unreadable_charters": self._control.unreadable()[:CHARTERS_TOLD],
            }
        )

    def _told(self, obeyed: _Obeyed, now: datetime) -> ObeyedOrder:
        order, calls = obeyed.stop.order, obeyed.calls
        return ObeyedOrder(
            agent=order.agent,
            kind="stop_all" if order.kind == "stop_all" else "pause",
            offset=obeyed.stop.offset,
            obeyed_at=now - timedelta(seconds=boottime_s() - obeyed.stop.obeyed_at_s),
            positions=tuple(
                LogPlace(topic=topic.removeprefix(self._prefix), partition=partition, offset=offset)
                for (topic, partition), offset in sorted(obeyed.positions.items())
            ),
            calls=tuple(CallFate(call_id=c.call_id, agent=c.agent, fate=c.fate) for c in calls[:CALLS_NAMED]),
            calls_omitted=max(0, len(calls) - CALLS_NAMED),
        )

    # -- delivery

    def _say(self, report: WorkerReport) -> None:
        said_at, lead_s = report.time, self._confirmed_clock.lead_s()

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self._compare_clocks(said_at, lead_s, message)

        self._producer.poll(0)
        send(self._producer, self._prefix, report.key, self._codec.encode(report), delivered)

    def _compare_clocks(self, said_at: datetime, lead_s: float, message: Message) -> None:
        found = broker_clock.compared(said_at, message)
        if found is None:
            return
        self._clock_offset_ms = round(found.ahead_ms)
        self._confirmed_clock.compared(lead_s, found.ahead_ms / 1000)
        CLOCK_OFFSET.labels(stage=self._me.stage).set(found.ahead_ms / 1000)
        is_off = found.differs_ms > CLOCK_OFF_BY_MS
        if is_off != self._is_off:
            self._is_off = is_off
            if is_off:
                log.error("%s: set it", found.our_clock())
            else:
                log.warning("this machine's clock agrees with the broker's again")


def _state(stage: Reported) -> WorkerState:
    if not stage.ready:
        return "not_ready"
    return "paused" if stage.is_paused else "ready"


def reports_producer(client_config: ClientConfig) -> Producer:
    """A producer for reports: nothing waits for them, and an old one is worthless."""
    return new_producer(client_config, DELIVERY_TIMEOUT_S, {"linger.ms": 0})


def send(producer: Producer, topic_prefix: str, key: str, value: bytes, on_delivery: OnDelivery | None = None) -> None:
    """Queue a report; it is dropped if the queue is full."""
    try:
        producer.produce(topic_prefix + WORKERS.name, value, key, partition=WORKERS.partition, on_delivery=on_delivery)
    except (BufferError, KafkaException) as error:
        log.warning("a report on %s is dropped: %s", WORKERS.name, error)
