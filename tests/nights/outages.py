"""Who is away when. Asked by the model's provider and by the connected systems before each answer."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

from tests.nights.night import Answer, Night, Outage
from tests.streams.stages.stage_harness import Clock


class Outages:
    """The outages of a night, of whom."""

    def __init__(self, night: Night, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self._periods = [(outage, begin, end) for outage in night.outages for begin, end in _periods(night, outage)]

    def answer(self, whom: Sequence[str], handler: str = "") -> Answer | None:
        """What one of these answers now; None if it is there."""
        now = self._clock()
        for outage, begin, end in self._periods:
            is_meant = outage.of in whom and (not outage.only or handler in outage.only)
            if is_meant and begin <= now < end and self._rng.random() < outage.share:
                return outage.answers
        return None


def _periods(night: Night, outage: Outage) -> list[tuple[datetime, datetime]]:
    begin, lasts = night.at(outage.since), timedelta(seconds=outage.lasts)
    if outage.every is None:
        return [(begin, begin + lasts)]
    every, found = timedelta(seconds=outage.every), []
    while begin < night.until:
        found.append((begin, begin + lasts))
        begin += every
    return found
