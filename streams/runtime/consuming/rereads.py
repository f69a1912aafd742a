"""Reads records again that Faust fetched and did not deliver, because of a race around a rebalance.

The partition reader calls it when the log has records before the one that came. After the seek, records of the earlier
fetch may still arrive. They have rising offsets and are skipped, because they come again. An offset that does not rise
is from the new fetch, which then skipped the same records.
"""

import logging
from dataclasses import dataclass
from enum import Enum

import faust
from aiokafka.errors import IllegalStateError
from faust.types import TP

from nightdesk.messaging.log_offsets import Place
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop

log = logging.getLogger(__name__)

# The race is over by the next fetch. If records are missing more often than this, there is another cause.
REREADS = 3


class RereadVerdict(Enum):
    """The decision about a record that came too early."""

    WAIT = "wait"
    SEEK = "seek"
    GIVE_UP = "give up"


@dataclass(slots=True)
class _Reread:
    """The records from `first` on are read again for the `tries`th time; `last` is the last offset that was skipped."""

    first: int
    tries: int
    last: int


class RereadState:
    """The partitions that wait for skipped records. Pure."""

    def __init__(self) -> None:
        self._waiting: dict[Place, _Reread] = {}

    def came(self, place: Place, first: int, offset: int) -> RereadVerdict:
        """Decide about a record at `offset` that came without those from `first` on."""
        known = self._waiting.get(place)
        if known is None or known.first != first:
            self._waiting[place] = _Reread(first, 1, offset)
            return RereadVerdict.SEEK
        rises, known.last = offset > known.last, offset
        if rises:
            return RereadVerdict.WAIT
        known.tries += 1
        return RereadVerdict.SEEK if known.tries <= REREADS else RereadVerdict.GIVE_UP

    def forget(self) -> None:
        """The partitions are not ours any more."""
        self._waiting.clear()


class Rereads:
    """Seeks one consumer back to the records that were not delivered."""

    def __init__(self, app: faust.App) -> None:
        self._app = app
        self._state = RereadState()
        self.came = self._state.came
        self.forget = self._state.forget

    async def read_again(self, tp: TP, first: int, offset: int, verdict: RereadVerdict) -> None:
        """The record at `offset` came without those from `first` on, which the log has or does not say. Exits the
        process if that happens repeatedly.
        """
        if verdict is RereadVerdict.GIVE_UP:
            fail_stop(
                ExitCode.GAP,
                f"{tp.topic}/{tp.partition}: {offset} came where {first} is next, also after reading from there"
                f" {REREADS} times",
            )
        log.warning("%s/%s: %s came where %s is next: reading again from there", *tp, offset, first)
        try:
            await self._app.consumer.seek(tp, first)
        except IllegalStateError:
            log.info("%s/%s was revoked meanwhile; its next owner continues", *tp)
