"""A process that cannot vouch for itself ends.

Called by the stage. `FreezeGuard`: after a pause near the session timeout another process may hold our partitions, so
the first thing that wakes ends the process. `Watchdog`: alive, heartbeating and doing nothing (a table recovery that
never ends, a consumer that left its group) ends too; a supervisor starts it again.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.runtime.fail_stop import ExitCode, fail_stop

BEAT_S = 0.25


class FreezeGuard:
    """`check` before every effect; `beat` runs on the loop for as long as the process does."""

    def __init__(self, frozen_after_s: float) -> None:
        self._frozen_after_s = frozen_after_s
        self._last = time.monotonic()

    def check(self) -> None:
        """Ends the process when the loop stood still for too long."""
        silent_s = time.monotonic() - self._last
        if silent_s > self._frozen_after_s:
            fail_stop(ExitCode.FROZEN, f"stood still for {silent_s:.1f} s; others may own our partitions")

    async def beat(self) -> None:
        """For ever: check, then say that we are alive. Begins with the loop: before it nothing was ours to lose."""
        self._last = time.monotonic()
        while True:
            self.check()
            self._last = time.monotonic()
            await asyncio.sleep(BEAT_S)


class Watchdog:
    """A thread of its own, so that it works when the loop does not.

    `progress()` is any value that changes when something moves; `limit_s()` for how long nothing may move now;
    `busy()` says that work is waiting here.
    `positions()` gives what we would read next; if the log goes further, work is waiting too.
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
        consumer = Consumer({**self._client_config, "group.id": "nightdesk-watchdog", "enable.auto.commit": False})
        marker, stuck_s = self._progress(), 0.0
        while not self._stopped.wait(self.INTERVAL_S):
            now = self._progress()
            if now != marker or not self._work_waits(consumer):
                marker, stuck_s = now, 0.0
                continue
            stuck_s += self.INTERVAL_S
            if stuck_s >= self._limit_s():
                fail_stop(ExitCode.NO_PROGRESS, f"work waits and nothing moved for {stuck_s:.0f} s")

    def _work_waits(self, consumer: Consumer) -> bool:
        """True when there is work and the broker could be asked; its absence is not our fault."""
        try:
            behind = [
                consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5.0)[1] > position
                for (topic, partition), position in self._positions().items()
            ]
            consumer.list_topics(timeout=5.0)
        except KafkaException:
            return False
        return self._busy() or any(behind)
