"""The circuit breakers of a stage, one for each other system, stored in a table.

Decide has one for each model provider, act one for each connection. Each worker has its own view of which systems
answer, and all its partitions share that view. A change is written under one of its partitions a moment later, so a
process that takes over after a kill, or is assigned a partition, knows which circuits were open.
"""

import logging
from collections.abc import Iterator

from pydantic import BaseModel

from nightdesk.processors.breaker import BreakerPolicy, CallReport, CircuitStatus, State, admit, record, shut_for_s
from nightdesk.streams.api import Clock, StagedWrites, Table
from nightdesk.streams.metrics import CIRCUIT_OPEN
from nightdesk.streams.stages.outages import Outage, Outages

log = logging.getLogger(__name__)

KEPT_S = 86_400


class WrittenCircuit(BaseModel):
    """The stored state of a circuit: when it last changed, until when it is open (0: closed), in epoch seconds, and the
    kind of failure that opened it. `since` and `is_told` are those of the outage (`outages.py`).
    """

    at: float
    open_until: float
    cause: str = ""
    since: float = 0.0
    is_told: bool = False


class Circuits:
    """States by name. An unknown circuit is closed."""

    def __init__(self, stage: str, policy: BreakerPolicy, clock: Clock) -> None:
        self._stage = stage
        self._policy = policy
        self._clock = clock
        self._states: dict[str, State] = {}
        self._changed_at: dict[str, float] = {}
        self._unwritten: set[str] = set()
        self._outages = Outages(stage, self.cause)
        self.table = Table("circuits", WrittenCircuit)

    def recovered(self) -> None:
        """Use the state that was written last, by any process."""
        now = self._now()
        for name, written in self._written():
            at, open_until = written.at, written.open_until
            # A state from the future was written by a clock that is ahead of ours. It is not used, because it would
            # hide every later one.
            if min(self._changed_at.get(name, 0.0), now) < at <= now:
                generation = self._states.get(name, State()).generation + 1
                status = CircuitStatus.OPEN if open_until else CircuitStatus.CLOSED
                open_seconds = max(0.0, open_until - at)
                self._states[name] = State(
                    status, generation, open_until=open_until, open_seconds=open_seconds, cause=written.cause
                )
                self._changed_at[name] = at
                outage = Outage(written.since or at, written.is_told) if open_until else None
                self._outages.take_over(name, outage)
                self._show(name)

    def tick(self, partition: int, writes: StagedWrites) -> None:
        """Record which outages last or are over, and write the circuits that changed."""
        self._unwritten.update(self._outages.tell(self._now(), writes))
        while self._unwritten:
            name = self._unwritten.pop()
            state, outage = self._states[name], self._outages.of(name) or Outage(0.0)
            written = WrittenCircuit(
                at=self._changed_at[name],
                open_until=state.open_until,
                cause=state.cause,
                since=outage.since,
                is_told=outage.is_told,
            )
            self.table.put(writes, name, written, self._now() + KEPT_S)

    def admit(self, name: str) -> int | None:
        """The circuit's generation if a call may be made, otherwise None. The caller reports each admitted call with
        it.
        """
        self._states[name], generation = admit(self._policy, self._states.get(name, State()), self._now())
        return generation

    def record(self, name: str, report: CallReport) -> None:
        """How an admitted call ended."""
        before, now = self._states[name], self._now()
        after = self._states[name] = record(self._policy, before, report, now)
        if after.status is not before.status:
            self._changed_at[name] = now
            self._unwritten.add(name)
            if after.status is CircuitStatus.CLOSED:
                self._outages.ends(name)
            else:
                self._outages.begins(name, now)
            if before.status is not CircuitStatus.HALF_OPEN or after.status is CircuitStatus.CLOSED:
                self._show(name)

    def is_open(self, name: str) -> bool:
        """Whether the circuit is open, so that the system is not called, or only probed."""
        return self._states.get(name, State()).status is not CircuitStatus.CLOSED

    def cause(self, name: str) -> str:
        """The kind of failure that opened the circuit; empty if it is closed."""
        return self._states.get(name, State()).cause

    def shut_for_s(self, name: str) -> float:
        """Seconds until a call will be admitted; 0 if one is admitted now."""
        return shut_for_s(self._policy, self._states.get(name, State()), self._now())

    def _written(self) -> Iterator[tuple[str, WrittenCircuit]]:
        for partition in self.table.partitions():
            yield from self.table.items(partition)

    def _show(self, name: str) -> None:
        is_open = self.is_open(name)
        CIRCUIT_OPEN.labels(stage=self._stage, outside=name).set(is_open)
        log.log(logging.WARNING if is_open else logging.INFO, "%s: circuit of %s %s", self._stage, name, _word(is_open))

    def _now(self) -> float:
        return self._clock().timestamp()


def _word(is_open: bool) -> str:
    return "opens: it does not answer" if is_open else "closes: it answers again"
