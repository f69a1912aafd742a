"""Cases over `limits.per_subject` wait for their turn: one queue for each agent and subject, first in, first out.

`subject_rates` stores the recently admitted cases (`subject_rates.py`), and `waiting` the cases that wait. The queues
and the times at which to check them are derived from `waiting`: memory has one key for each waiting case, and a tick
only checks the queues whose time has come.

A case that goes on is deleted after its reservation is durable. If the process dies in between, its successor emits the
reservation again: the rate counts the same case once, and `budget` accepts the same reservation once.
"""

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import BaseModel

from nightdesk.processors.charter.allowances import Limits
from nightdesk.processors.quantities import Rate
from nightdesk.schemas.records import Case
from nightdesk.streams.api import StagedWrites, Table
from nightdesk.streams.metrics import WAITING
from nightdesk.streams.stages.subject_rates import Admitted, SubjectRates, queue_of

# A subject whose queue is longer than this, or a partition whose queues hold more, refuses further cases. The audit
# names their events, and `nightdesk events reoffer` offers them again from the log.
CASES_AT_MOST = 1000
BYTES_AT_MOST = 64 * 1024 * 1024
# At most this many cases are released in one tick; the others follow in the next ticks.
RELEASED_A_TICK = 500


class WaitingCase(BaseModel):
    """A case in a queue. `number` is its event's offset, which orders the queue; `until` (epoch seconds) is when it has
    waited for as long as its charter allows. `rate` is that of its charter; without a rate it waits only behind earlier
    cases.
    """

    case: Case
    rate: Rate | None
    number: int
    until: float
    traceparent: str


class Released(NamedTuple):
    """A case that goes on, because its turn came or because it waited for too long (`overdue`)."""

    waiting: WaitingCase
    overdue: bool


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    size_bytes: int


class SubjectQueues:
    """The rates and queues of the subjects whose partitions this process owns."""

    def __init__(self) -> None:
        self._rates = SubjectRates()
        self._waiting = Table("waiting", WaitingCase)
        self.tables = (self._rates.table, self._waiting)
        self._agents: Counter[str] = Counter()
        self._forget()

    def _forget(self) -> None:
        for agent in self._agents:
            self._count(agent, -self._agents[agent])
        self._queues: dict[int, dict[str, deque[_Entry]]] = defaultdict(dict)
        # When to check each queue, soonest first. A queue that is empty by then is skipped.
        self._looks: dict[int, list[tuple[float, str]]] = defaultdict(list)
        self._looked_at: dict[int, float] = {}
        self._size_bytes: Counter[int] = Counter()

    def recovered(self) -> Iterator[None]:
        """Derive the rates and the queues again."""
        yield from self._rates.recovered()
        self._forget()
        found: list[tuple[int, int, str, WaitingCase]] = []
        for entries in self._waiting.slices():
            found.extend((partition, waiting.number, key, waiting) for partition, key, waiting in entries)
            yield
        for partition, _, _, waiting in sorted(found, key=lambda each: each[:3]):
            self.append(partition, waiting)

    # -- a new case

    def admit(self, case: Case, limits: Limits, writes: StagedWrites, now: float) -> Admitted | None:
        """Stage that the case goes on at once; None if an earlier one of its subject waits, or the rate has no room.

        The caller passes the result to `count` when everything else is staged.
        """
        queue = queue_of(case)
        if self._queues[writes.partition].get(queue):
            return None
        if limits.per_subject is None:
            return Admitted(case.case_id, queue, at=None)
        admitted = self._rates.admit(case.case_id, queue, limits.per_subject, writes, now)
        return admitted if isinstance(admitted, Admitted) else None

    def count(self, partition: int, admitted: Admitted) -> None:
        """Count an admitted case in the rate of its subject."""
        self._rates.count(partition, admitted)

    def is_full(self, case: Case, partition: int) -> bool:
        """Whether a further case of this subject would be too many."""
        waiting = len(self._queues[partition].get(queue_of(case), ()))
        return waiting >= CASES_AT_MOST or self._size_bytes[partition] >= BYTES_AT_MOST

    def put(self, waiting: WaitingCase, writes: StagedWrites) -> None:
        """Stage a case to wait; the caller `append`s it when everything else is staged. Raises `RecordTooLarge`."""
        self._waiting.put(writes, _key(waiting), waiting)

    def append(self, partition: int, waiting: WaitingCase) -> None:
        """Append a case to its queue. A new queue is checked in the next tick."""
        queue, entry = queue_of(waiting.case), _Entry(_key(waiting), len(waiting.case.event.data))
        if queue not in self._queues[partition]:
            self._queues[partition][queue] = deque()
            heapq.heappush(self._looks[partition], (0.0, queue))
        self._queues[partition][queue].append(entry)
        self._size_bytes[partition] += entry.size_bytes
        self._count(waiting.case.agent, 1)

    def _count(self, agent: str, more: int) -> None:
        self._agents[agent] += more
        WAITING.labels(stage="ingest", agent=agent, cause="per_subject").set(self._agents[agent])

    # -- time

    def release(self, writes: StagedWrites, now: float) -> Iterator[Released]:
        """Release the cases that go on now, in order within each queue. The caller emits them; their table entries are
        staged here.
        """
        partition, left = writes.partition, RELEASED_A_TICK
        looks = self._looks[partition]
        if now < self._looked_at.get(partition, now):  # a clock that was ahead chose the times
            looks[:] = [(now, queue) for queue in self._queues[partition]]
        self._looked_at[partition] = now
        while looks and looks[0][0] <= now and left:
            _, queue = heapq.heappop(looks)
            for released in self._release(queue, left, writes, now):
                left -= 1
                yield released

    def _release(self, queue: str, at_most: int, writes: StagedWrites, now: float) -> Iterator[Released]:
        partition = writes.partition
        entries = self._queues[partition].get(queue, deque())
        look_at = now
        while entries and at_most:
            waiting = self._waiting.get(partition, entries[0].key)
            if waiting is None:  # an event that was read twice is in the queue twice, and went on the first time
                self._drop_first(entries, partition)
                continue
            overdue = waiting.until <= now
            if not overdue and waiting.rate is not None:
                admitted = self._rates.admit(waiting.case.case_id, queue, waiting.rate, writes, now)
                if not isinstance(admitted, Admitted):
                    look_at = min(admitted, waiting.until)
                    break
                self._rates.count(partition, admitted)
            self._remove_first(entries, waiting, writes)
            at_most -= 1
            yield Released(waiting, overdue)
        if entries:
            heapq.heappush(self._looks[partition], (look_at, queue))
        else:
            self._queues[partition].pop(queue, None)

    def _remove_first(self, entries: deque[_Entry], waiting: WaitingCase, writes: StagedWrites) -> None:
        entry = self._drop_first(entries, writes.partition)
        self._waiting.delete_after_emit(writes, entry.key)
        self._count(waiting.case.agent, -1)

    def _drop_first(self, entries: deque[_Entry], partition: int) -> _Entry:
        entry = entries.popleft()
        self._size_bytes[partition] -= entry.size_bytes
        return entry


def _key(waiting: WaitingCase) -> str:
    return f"{queue_of(waiting.case)}/{waiting.number:020d}"
