"""Holds back the next record while the stage is paused, and logs it.

`ratio.py` decides when it pauses and for how long.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from nightdesk.streams.metrics import PAUSED
from nightdesk.streams.runtime.process.ratio import FailureRatio

log = logging.getLogger(__name__)


class Pause:
    """The pause of one stage; the guard reports how records end."""

    def __init__(self, stage: str, ratio: FailureRatio, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._stage = stage
        self._ratio = ratio
        self._monotonic = monotonic
        self._changed = asyncio.Event()

    @property
    def is_on(self) -> bool:
        return self._ratio.is_paused

    async def wait(self) -> None:
        """Return when the next record may be processed."""
        while wait_s := self._ratio.wait_s(self._monotonic()):
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait_s)

    def done(self, origin: str) -> None:
        """A record was done."""
        if self._ratio.done(origin):
            self._changed.set()
            PAUSED.labels(stage=self._stage).set(0)
            log.warning("a record was processed: the pause is over")

    def refused(self) -> None:
        """A record itself was at fault."""
        self._ratio.refused(self._monotonic())
        self._changed.set()

    def failed_at(self, origin: str, error: str) -> None:
        """A handler failed on a record."""
        if self._ratio.failed_at(origin, self._monotonic()):
            PAUSED.labels(stage=self._stage).set(1)
            log.error(
                "paused: handlers failed on %d of the last %d records, the last time with %s. One record is tried every"
                "  few seconds, and the first success ends the pause. `nightdesk dlq list` has the letters: fix"
                " the cause, then replay them (docs/how-to/dead-letters.md)",
                self._ratio.failed,
                self._ratio.records,
                error,
            )
