"""The ledger of the budget stage: a table with one fact for each step of a case, and the accounts derived from it."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.ledger import Account, Fact, day_of
from nightdesk.processors.ledger import entries as lines
from nightdesk.schemas import ids
from nightdesk.schemas.records import Case
from nightdesk.schemas.topics import BUDGET
from nightdesk.streams.api import StagedWrites, Table
from nightdesk.streams.api.state_store import SLICE_ENTRIES
from nightdesk.streams.metrics import BUDGET_LEFT
from nightdesk.streams.stages import account_totals


class Accounts:
    """The facts of our partitions and the totals of their agents."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self.table = Table("ledger", Fact, self._on_expired, account_totals.added_by)

    def recovered(self, now: float, recent_s: float) -> Iterator[list[Fact]]:
        """Derive every account again: from the totals on disk, or from all facts in memory. Yields slices of the facts,
        at least those that changed in the last `recent_s` before `now` (epoch seconds).
        """
        for agent in self._accounts:
            BUDGET_LEFT.remove(agent)  # another worker may have the agent now
        self._accounts = {}
        for partition in self.table.store.held_partitions():
            reading = account_totals.read(self.table.store, partition, self.of)
            if reading is None:
                yield from self._from_facts(partition)
                continue
            for _ in reading:
                yield []
            recent = self.recent(partition, now - recent_s) if recent_s else iter(())
            while some := list(islice(recent, SLICE_ENTRIES)):
                yield some

    def _from_facts(self, partition: int) -> Iterator[list[Fact]]:
        for entries in self.table.slices(partition):
            facts = [fact for _, _, fact in entries]
            for fact in facts:
                self.of(fact.agent).replace(None, fact)
            yield facts

    def recent(self, partition: int, since: float) -> Iterator[Fact]:
        """The facts that changed since a time (epoch seconds), or all that are in memory, as they are when they are
        read. Between two of them others may be written.
        """
        for key in account_totals.recent_keys(self.table.store, partition, since):
            fact = self.table.get(partition, key.decode())
            if fact is not None:
                yield fact

    def of(self, agent: str) -> Account:
        """The totals of an agent."""
        account = self._accounts.get(agent)
        if account is None:
            account = self._accounts[agent] = Account()
        return account

    def fact(self, partition: int, agent: str, case_id: str, step: int) -> Fact | None:
        """The fact of a step; None if there is none."""
        return self.table.get(partition, _key(agent, case_id, step))

    def fact_of(self, partition: int, case: Case) -> Fact | None:
        """The fact of the case's current step; None if there is none."""
        return self.fact(partition, case.agent, case.case_id, case.step)

    def remember(self, fact: Fact, before: Fact | None, writes: StagedWrites) -> None:
        """Replace the fact of a step. The account changes last, so that an error before that changes nothing."""
        self.table.put(writes, _key(fact.agent, fact.case_id, fact.step), fact, fact.kept_until)
        self.of(fact.agent).replace(before, fact)

    def measure(self, charters: Iterable[CompiledCharter], now: datetime) -> None:
        """Set the gauges of the agents whose ledger is here."""
        for compiled in charters:
            account = self._accounts.get(compiled.agent)
            if account is not None:
                budget = compiled.charter.budget
                left = account.balance(day_of(now, budget.zone)).left_microusd(budget.per_day_microusd)
                BUDGET_LEFT.labels(agent=compiled.agent).set(max(0, left) / 1e6)

    def _on_expired(self, key: str, fact: Fact, writes: StagedWrites) -> None:
        """A reservation that was never settled is expired by an entry; a fact of a day that is over is deleted."""
        if fact.state == "open":
            writes.emit(BUDGET, lines.expiry(fact))
        else:
            self.table.delete(writes, key)
            self.of(fact.agent).replace(fact, None)


def _key(agent: str, case_id: str, step: int) -> str:
    return ids.composite_key(agent, case_id, str(step))
