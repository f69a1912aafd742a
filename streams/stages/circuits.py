"""The circuit breakers of a stage, one for each system outside, kept in a table.

Decide has one for each model provider, act one for each connection. A worker has its own view of what it can reach, and
all its partitions share it. What changes is written under one of its partitions a moment later, so a process that takes
over after a kill, or is given a partition, knows which circuits were open.
"""

import logging
from collections.abc import Iterator

import orjson

from processors.breaker import Policy, Report, State, Status, admit, record
from streams.runtime.changes import Changes
from streams.runtime.metrics import CIRCUIT_OPEN
from streams.runtime.policy import Clock
from streams.runtime.tables import FactTable

log = logging.getLogger(__name__)

KEPT_S = 86_400


class Circuits:
    """States by name. A circuit that nobody has heard of is closed."""

    def __init__(self, stage: str, policy: Policy, clock: Clock) -> None:
        self._stage = stage
        self._policy = policy
        self._clock = clock
        self._states: dict[str, State] = {}
        self._changed_at: dict[str, float] = {}
        self._unwritten: set[str] = set()
        self._table: FactTable

    def bind(self, table: FactTable) -> None:
        self._table = table

    def recovered(self) -> None:
        """Believe what was written last, by whichever process."""
        for name, at, open_until in self._written():
            if at > self._changed_at.get(name, 0.0):
                generation = self._states.get(name, State()).generation + 1
                status = Status.OPEN if open_until else Status.CLOSED
                self._states[name] = State(status, generation, open_until=open_until)
                self._changed_at[name] = at
                self._show(name)

    def tick(self, partition: int, changes: Changes) -> None:
        """Write what changed; forget what was written long ago."""
        for key in self._table.expired(partition, self._now()):
            changes.forget(self._table, key.decode())
        while self._unwritten:
            name = self._unwritten.pop()
            fact = {"at": self._changed_at[name], "open_until": self._states[name].open_until}
            changes.put(self._table, name, orjson.dumps(fact), self._now() + KEPT_S)

    def admit(self, name: str) -> int | None:
        """Whether a call may go out: the generation to report back with, or None. Each one admitted is reported."""
        self._states[name], generation = admit(self._policy, self._states.get(name, State()), self._now())
        return generation

    def record(self, name: str, report: Report) -> None:
        """How an admitted call ended."""
        before = self._states[name]
        after = self._states[name] = record(self._policy, before, report, self._now())
        if after.status is not before.status:
            self._changed_at[name] = self._now()
            self._unwritten.add(name)
            if before.status is not Status.HALF_OPEN or after.status is Status.CLOSED:
                self._show(name)

    def is_open(self, name: str) -> bool:
        """Whether the system counts as away: not to be asked, or asked only to find out."""
        return self._states.get(name, State()).status is not Status.CLOSED

    def shut_for_s(self, name: str) -> float:
        """How long no call will be admitted; 0 when one may be."""
        state = self._states.get(name, State())
        return max(0.0, state.open_until - self._now()) if state.status is Status.OPEN else 0.0

    def _written(self) -> Iterator[tuple[str, float, float]]:
        for partition in self._table.partitions_held():
            for key, value in self._table.facts(partition).items():
                fact = orjson.loads(value)
                yield key.decode(), fact["at"], fact["open_until"]

    def _show(self, name: str) -> None:
        is_open = self.is_open(name)
        CIRCUIT_OPEN.labels(stage=self._stage, outside=name).set(is_open)
        log.log(logging.WARNING if is_open else logging.INFO, "%s: circuit of %s %s", self._stage, name, _word(is_open))

    def _now(self) -> float:
        return self._clock().timestamp()


def _word(is_open: bool) -> str:
    return "opens: it does not answer" if is_open else "closes: it answers again"
