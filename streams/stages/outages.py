"""Records in the audit when the outage of a system begins and when it is over. A circuit that opens only for a moment
is no outage, so nobody is woken by a system that is busy for some seconds. `circuits.py` reports what its circuits do
and stores the outages with them, so that a process that takes over does not record them again.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from nightdesk.schemas import audit_records
from nightdesk.schemas.outage_detail import OutageDetail
from nightdesk.streams.api import StagedWrites

# How long a circuit is open before people are told of an outage.
LASTS_S = 60.0


class Outage(NamedTuple):
    """`since`: when the circuit opened, in epoch seconds. `is_told`: whether the audit has a record of that. `is_over`:
    the circuit has closed.
    """

    since: float
    is_told: bool = False
    is_over: bool = False


class Outages:
    """The outages of one stage, by system."""

    def __init__(self, stage: str, cause: Callable[[str], str]) -> None:
        """`cause` gives the kind of failure that opened the circuit of a system."""
        self._stage = stage
        self._cause = cause
        self._known: dict[str, Outage] = {}

    def of(self, system: str) -> Outage | None:
        """The outage of the system, if its circuit is open."""
        return self._known.get(system)

    def begins(self, system: str, now: float) -> None:
        """The circuit is open. If it closed and the audit does not say so yet, the outage goes on."""
        self._known[system] = self._known.get(system, Outage(now))._replace(is_over=False)

    def ends(self, system: str) -> None:
        """The circuit is closed."""
        if system in self._known:
            self._known[system] = self._known[system]._replace(is_over=True)

    def take_over(self, system: str, outage: Outage | None) -> None:
        """Continue with the outage that another process has stored."""
        if outage is None:
            self._known.pop(system, None)
        else:
            self._known[system] = outage

    def tell(self, now: float, writes: StagedWrites) -> Iterator[str]:
        """Emit the audit records that are due. Returns the systems whose outage has to be stored."""
        for system, outage in tuple(self._known.items()):
            if outage.is_over:
                del self._known[system]
                if outage.is_told:
                    self._audit(system, outage, now, writes)
            elif not outage.is_told and now - outage.since >= LASTS_S:
                self._known[system] = outage._replace(is_told=True)
                self._audit(system, outage, now, writes)
                yield system

    def _audit(self, system: str, outage: Outage, now: float, writes: StagedWrites) -> None:
        detail = OutageDetail(
            stage=self._stage,
            system=system,
            cause=self._cause(system),
            since=_time(outage.since),
            is_over=outage.is_over,
        )
        writes.audit(audit_records.outage(detail, _time(now)))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
