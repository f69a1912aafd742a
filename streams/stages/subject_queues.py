"""Cases over `limits.per_subject` wait for their turn: one queue for each agent and subject, first in, first out.

`subject_rates` stores the recently admitted cases of a subject, and `waiting` the cases that wait. The queues and the
times at which to check them are derived from `waiting`: memory has one key for each waiting case, and a tick only
checks the queues whose time has come.

A case that goes on is deleted after its reservation is durable. If the process dies in between, its successor emits the
reservation again: the rate counts the same case once, and `budget` accepts the same reservation once.
"""

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import BaseModel

from nightdesk.processors import rates
from nightdesk.processors.charter.allowances import Limits
from nightdesk.processors.charter.quantities import Rate
from nightdesk.schemas.ids import composite_key
from nightdesk.schemas.records import Case
from nightdesk.streams.api import StagedWrites, Table
from nightdesk.streams.metrics import WAITING

# A subject whose queue is longer than this, or a partition whose queues hold more, refuses further cases. The audit
# names their events, and `nightdesk events reoffer` offers them again from the log.
CASES_AT_MOST = 1000
BYTES_AT_MOST = 64 * 1024 * 1024
# At most this many cases are released in one tick; the others follow in the next ticks.
RELEASED_A_TICK = 500


class SubjectRate(BaseModel):
    """The admitted cases of a subject and their times (epoch seconds), oldest first."""

    admitted: dict[str, float]


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
        self._rates = Table("subject_rates", SubjectRate)
        self._waiting = Table("waiting", WaitingCase)
        self.tables = (self._rates, self._waiting)
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
        """Derive the queues again from `waiting`."""
        self._forget()
        found: list[tuple[int, int, str, WaitingCase]] = []
        for entries in self._waiting.slices():
            found.extend((partition, waiting.number, key, waiting) for partition, key, waiting in entries)
            yield
        for partition, _, _, waiting in sorted(found, key=lambda each: each[:3]):
            self.append(partition, waiting)

    # -- a new case

    def admits(self, case: Case, limits: Limits, writes: StagedWrites, now: float) -> bool:
        """Whether the case may go on at once: no earlier one of its subject waits, and the rate has room."""
        queue = _queue(case)
        if self._queues[writes.partition].get(queue):
            return False
        if limits.per_subject is None:
            return True
        window = self._window(writes.partition, queue)
        admitted = _admit(window, limits.per_subject, case, now)
        self._put_window(writes, queue, window, admitted.window, limits.per_subject, now)
        return admitted.ok

    def is_full(self, case: Case, partition: int) -> bool:
        """Whether a further case of this subject would be too many."""
        waiting = len(self._queues[partition].get(_queue(case), ()))
        return waiting >= CASES_AT_MOST or self._size_bytes[partition] >= BYTES_AT_MOST

    def put(self, waiting: WaitingCase, writes: StagedWrites) -> None:
        """Stage a case to wait; the caller `append`s it when everything else is staged. Raises `RecordTooLarge`."""
        self._waiting.put(writes, _key(waiting), waiting)

    def append(self, partition: int, waiting: WaitingCase) -> None:
        """Append a case to its queue. A new queue is checked in the next tick."""
        queue, entry = _queue(waiting.case), _Entry(_key(waiting), len(waiting.case.event.data))
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
        before = window = self._window(partition, queue)
        look_at, rate = now, None
        while entries and at_most:
            waiting = self._waiting.get(partition, entries[0].key)
            if waiting is None:  # an event that was read twice is in the queue twice, and went on the first time
                self._drop_first(entries, partition)
                continue
            overdue = waiting.until <= now
            if not overdue and waiting.rate is not None:
                rate = waiting.rate
                admitted = _admit(window, rate, waiting.case, now)
                window = admitted.window
                if not admitted.ok:
                    look_at = min(admitted.retry_at, waiting.until)
                    break
            self._remove_first(entries, waiting, writes)
            at_most -= 1
            yield Released(waiting, overdue)
        if rate is not None:
            self._put_window(writes, queue, before, window, rate, now)
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

    # -- rates

    def _window(self, partition: int, queue: str) -> rates.Window:
        known = self._rates.get(partition, queue)
        return () if known is None else tuple(map(rates.Admission._make, known.admitted.items()))

    def _put_window(
        self, writes: StagedWrites, queue: str, before: rates.Window, after: rates.Window, rate: Rate, now: float
    ) -> None:
        if after is not before:
            self._rates.put(writes, queue, SubjectRate(admitted=dict(after)), now + rate.per_seconds)


def _admit(window: rates.Window, rate: Rate, case: Case, now: float) -> rates.Admitted:
    """Count an admitted case. If it is counted already, a process died before the reservation was durable; the case
    begins now, so its period does, too.
    """
    others = tuple(admission for admission in window if admission.cause != case.case_id)
    return rates.admit(window if len(others) == len(window) else others, rate, case.case_id, now)


def _queue(case: Case) -> str:
    return composite_key(case.agent, case.subject)


def _key(waiting: WaitingCase) -> str:
    return f"{_queue(waiting.case)}/{waiting.number:020d}"
