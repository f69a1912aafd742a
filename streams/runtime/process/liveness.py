"""Exits a process that stands still.

`FreezeGuard`: a loop that is blocked for as long as a lease lasts ends the process with its own code, because a record
may be the cause. `Watchdog`: a process that lives and sends heartbeats without progress (a recovery that never ends, a
consumer that left its group) exits too, and a supervisor restarts it. `lease.py` proves that its partitions are still
its own.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from nightdesk.messaging.clients import new_reader
from nightdesk.streams.runtime.process.boottime import boottime_s
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop

BEAT_S = 0.25


class FreezeGuard:
    """`check` runs before every effect; `beat` runs on the loop for the life of the process."""

    def __init__(self, frozen_after_s: float) -> None:
        self._frozen_after_s = frozen_after_s
        self._last = boottime_s()

    def check(self) -> None:
        """Exits the process if the loop was blocked for too long."""
        silent_s = boottime_s() - self._last
        if silent_s > self._frozen_after_s:
            fail_stop(
                ExitCode.FROZEN, f"the event loop was blocked for {silent_s:.1f} s; others may own our partitions"
            )

    async def beat(self) -> None:
        """Check repeatedly; never returns. It starts with the loop, because before that we own nothing."""
        self._last = boottime_s()
        while True:
            self.check()
            self._last = boottime_s()
            await asyncio.sleep(BEAT_S)


class Watchdog:
    """A separate thread, so that it works if the loop does not.

    `progress()` is any value that changes with progress; `limit_s()` is the longest time without progress; `busy()`
    says whether work waits in this process. `positions()` has the next offsets; if the log continues behind them, work
    waits as well.
    """

    INTERVAL_S = 5.0

    def __init__(
        self,
        client_config: Mapping[str, Any],
        limit_s: Callable[[], float],
        progress: Callable[[], object],
        busy: Callable[[], bool],
        positions: Callable[[], Mapping[tuple[str, int], int]],
    ) -> None:
        self._client_config = client_config
        self._limit_s = limit_s
        self._progress = progress
        self._busy = busy
        self._positions = positions
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        # For the watchdog a log ends where committed records end: records behind an open transaction are not our work.
        consumer = new_reader(self._client_config, "nightdesk-watchdog")
        marker, stuck_s = self._progress(), 0.0
        while not self._stopped.wait(self.INTERVAL_S):
            now = self._progress()
            if now != marker or not self._work_waits(consumer):
                marker, stuck_s = now, 0.0
                continue
            stuck_s += self.INTERVAL_S
            if stuck_s >= self._limit_s():
                fail_stop(ExitCode.NO_PROGRESS, f"work waits and there was no progress for {stuck_s:.0f} s")

    def _work_waits(self, consumer: Consumer) -> bool:
        """Like `_ask`, but exits the process if the client does not return.

        librdkafka waits by the wall clock: a wait that began while the clock was ahead ends when the clock reaches that
        time again, whatever its timeout. Its other waits in this process hang, too.
        """
        answers, limit_s = SimpleQueue[bool](), self._limit_s()
        threading.Thread(target=lambda: answers.put(self._ask(consumer)), name="watchdog-asks", daemon=True).start()
        try:
            return answers.get(timeout=limit_s)
        except Empty:
            fail_stop(
                ExitCode.NO_PROGRESS,
                f"the Kafka client has not answered for {limit_s:.0f} s, whatever its timeout: the clock may have been"
                " set back",
            )

    def _ask(self, consumer: Consumer) -> bool:
        """True if there is work and the broker answered; a broker outage is not our fault."""
        try:
            behind = [
                consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5.0)[1] > position
                for (topic, partition), position in self._positions().items()
            ]
            consumer.list_topics(timeout=5.0)
        except KafkaException:
            return False
        return self._busy() or any(behind)
