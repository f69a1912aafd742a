"""The waiting steps of the budget stage: a row for each in the table `waiting`, and each agent's queue derived from it.

`admission.py` decides which steps go on. A row is deleted after the records of its step are emitted. So if a row has a
fact in the ledger, its records may be missing, and the next process puts it into `unsure`.
"""

from collections.abc import Iterator

from nightdesk.processors.admission import AGENT, AgentClock, AgentQueue, Availability, Shut
from nightdesk.processors.ledger import Fact
from nightdesk.streams.api import StagedWrites, Table
from nightdesk.streams.metrics import WAITING
from nightdesk.streams.stages.accounts import Accounts
from nightdesk.streams.stages.waiting_rows import ClockRow, WaitingRow, key_of


class WaitingSteps:
    """The waiting steps of our partitions."""

    def __init__(self) -> None:
        self.table = Table("waiting", WaitingRow)
        self.clocks = Table("agent_clocks", ClockRow)
        self.unsure: dict[int, list[str]] = {}
        self._agents: dict[int, dict[str, AgentQueue]] = {}
        self._last_arrival: dict[int, int] = {}

    def recovered(self, accounts: Accounts) -> Iterator[None]:
        """Build every queue again."""
        WAITING.remove_by_labels({"stage": "budget"})  # another worker may have these agents now
        self.unsure, self._agents, self._last_arrival = {}, {}, {}
        for entries in self.table.slices():
            for partition, key, row in entries:
                self.count_arrival(partition, row.arrival)
                if _has_gone_on(row, accounts.fact_of(partition, row.case)):
                    self.unsure.setdefault(partition, []).append(key)
                else:
                    self._add_recovered(row, self.of(partition, row.case.agent))
            yield
        for clocks in self.clocks.slices():
            for partition, name, saved in clocks:
                agent = self.of(partition, name)
                agent.clock = agent.saved_clock = AgentClock(saved.stopped_since, saved.stood_still_s)
            yield

    @staticmethod
    def _add_recovered(row: WaitingRow, agent: AgentQueue) -> None:
        agent.queue.add(row.step())
        if row.gate == "unavailable" and agent.availability.state == "available":
            agent.availability = Availability("away", reason=row.reason)  # a probe finds out at once
        if row.gate == "paused":
            agent.stopped_by = Shut("paused", AGENT, row.reason)  # if the order has ended, the queue must notice

    def row(self, partition: int, key: str) -> WaitingRow:
        """The row of a step that is in a queue or in `unsure`."""
        row = self.table.get(partition, key)
        assert row is not None, "a step in a queue has its row"
        return row

    # -- queues

    def of(self, partition: int, agent: str) -> AgentQueue:
        """The queue of an agent."""
        queue = self.known(partition, agent)
        if queue is None:
            queue = self._agents.setdefault(partition, {})[agent] = AgentQueue(partition, agent)
        return queue

    def known(self, partition: int, agent: str) -> AgentQueue | None:
        """The queue of an agent, if a step of it waits."""
        return self._agents.get(partition, {}).get(agent)

    def agents(self, partition: int, writes: StagedWrites) -> Iterator[AgentQueue]:
        """Yields every queue of a partition. Afterwards empty queues are dropped and changed clocks are saved."""
        for agent in list(self._agents.get(partition, {}).values()):
            yield agent
            if not len(agent.queue):
                agent.slow_start, agent.clock = None, AgentClock()
            if agent.is_idle:
                del self._agents[partition][agent.agent]
            self._save_clock(agent, writes)

    def _save_clock(self, agent: AgentQueue, writes: StagedWrites) -> None:
        if agent.clock == agent.saved_clock:
            return
        if agent.clock == AgentClock():
            self.clocks.delete(writes, agent.agent)
        else:
            clock = ClockRow(stopped_since=agent.clock.stopped_since, stood_still_s=agent.clock.stood_still_s)
            self.clocks.put(writes, agent.agent, clock)
        agent.saved_clock = agent.clock

    # The queue changes last, so that an error before that changes nothing.
    def add(self, row: WaitingRow, shut: Shut, writes: StagedWrites) -> None:
        """Add a step that begins to wait."""
        self.table.put(writes, row.key, row)
        self.count_arrival(writes.partition, row.arrival)
        agent = self.of(writes.partition, row.case.agent)
        agent.queue.add(row.step(), shut)
        agent.looked_at, agent.due_at = row.since, min(agent.due_at, agent.changes_at)
        measure(agent)

    def drop(self, agent: AgentQueue, fact: Fact, writes: StagedWrites) -> None:
        """Remove a step that was given back but has been decided after all."""
        key = key_of(fact.agent, fact.case_id, fact.step, fact.returns)
        if key in agent.queue:
            agent.queue.remove(key)
            self.table.delete(writes, key)

    # -- arrivals

    def next_arrival(self, partition: int, now: float) -> int:
        """The number of a case that arrives now: larger than that of every waiting case, whatever the clock says."""
        return max(int(now * 1e6), self._last_arrival.get(partition, 0) + 1)

    def count_arrival(self, partition: int, arrival: int) -> None:
        """Note the number of a case."""
        self._last_arrival[partition] = max(arrival, self._last_arrival.get(partition, 0))


def measure(agent: AgentQueue) -> None:
    """Count the waiting steps of an agent."""
    for gate, count in agent.counts().items():
        WAITING.labels(stage="budget", agent=agent.agent, cause=gate).set(count)


def _has_gone_on(row: WaitingRow, fact: Fact | None) -> bool:
    """Whether the step went on, according to the ledger. A step that was given back has a fact while it waits, too."""
    return fact is not None and (fact.state != "returned" or fact.returns > row.case.returns)
