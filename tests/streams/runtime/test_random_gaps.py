"""Whatever a log has and deletes, Faust drops and the broker does not answer: each record is taken once, in order, or
is reported as lost.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.streams.runtime.consuming import offset_gaps, rereads
from nightdesk.streams.runtime.consuming.losses import Loss
from nightdesk.streams.runtime.consuming.offset_gaps import Found
from nightdesk.streams.runtime.consuming.partition_reader import PartitionReader
from nightdesk.streams.runtime.consuming.rereads import REREADS
from tests.streams.runtime.arrivals import arrival
from tests.streams.runtime.test_partition_reader import PLACE, Group, reader

END = 20
OFFSETS = st.integers(0, END - 2)


class Log:
    """A partition with the records `readable` and an end that can be read. `looks` says what happens at each question:
    whether the broker answers, whether the log watch looks at the same time, and what is deleted before.
    """

    def __init__(self, readable: set[int], looks: list[tuple[bool, bool, int]]) -> None:
        self.readable = sorted(readable | {END - 1})
        self.start = 0
        self.taken: list[int] = []
        self.lost: list[int] = []
        self._looks = looks
        self._group = Group(0)
        self._reader: PartitionReader = reader(self._group, cast("Any", self))
        self._loop = asyncio.get_running_loop()

    def report(self, loss: Loss, finish: Callable[[], None]) -> None:
        """As `Losses` does."""
        self.lost += [at for at in self.readable if loss.first <= at < loss.end]
        finish()

    def look_from(self, _config: object, _place: object, offset: int) -> Found | None:
        """As the broker answers, in a thread of its own."""
        answers, is_watched, deleted = self._looks.pop() if self._looks else (True, False, 0)
        self.start = max(self.start, deleted)
        if is_watched:
            watch = self._reader.look_for_gap(PLACE, offset)
            asyncio.run_coroutine_threadsafe(watch, self._loop).result()
        kept = [at for at in self.readable if at >= max(offset, self.start)]
        return Found(kept[0], self.start) if answers else None

    async def read(self, drops: list[set[int]]) -> None:
        """Fetch after fetch from where the reader seeks to, each without the records of its `drops`."""
        position = 0
        for dropped in [*drops, *[set[int]()] * (REREADS + 1)]:
            self._group.sought.clear()
            for at in [at for at in self.readable if at >= max(position, self.start) and at not in dropped]:
                if finish := await self._reader.accept(arrival(PLACE, at, b"k", b"v")):
                    self.taken.append(at)
                    finish()
            position = self._group.sought[-1] if self._group.sought else END
        assert self._reader.expected() == {PLACE: END}


def _fail(_code: object, reason: str) -> None:
    pytest.fail(reason)


@given(
    readable=st.sets(OFFSETS),
    looks=st.lists(st.tuples(st.booleans(), st.booleans(), OFFSETS), max_size=2),
    drops=st.lists(st.sets(OFFSETS), max_size=REREADS - 2),
)
def test_each_record_is_taken_once_or_lost(
    readable: set[int], looks: list[tuple[bool, bool, int]], drops: list[set[int]]
) -> None:
    """No more goes wrong than what a process survives; one more fetch that skips the same records ends it."""

    async def run() -> Log:
        log = Log(readable, looks)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(offset_gaps, "look_from", log.look_from)
            patch.setattr(rereads, "fail_stop", _fail)
            await log.read(drops)
        return log

    log = asyncio.run(run())
    assert log.taken == sorted(set(log.taken))
    assert sorted(log.taken + log.lost) == log.readable
