"""Budget: no step of a case begins before its worst price is held; what it really cost is settled here.

One writer per agent. `ledger` holds one fact for each step of a case (`processors/ledger/`); the totals of each agent
are derived from them in memory and rebuilt on recovery. A step that finds no money or no room is deferred through
`later`, escalated or refused, as its charter says. One that is never settled expires: what was held for it counts as
spent, until somebody says what it was. The limits of actions and connections have their one writer here too
(`permits.py`).
"""

from datetime import UTC, datetime, timedelta

from processors import ledger
from processors.ledger import Account, Fact, lines
from processors.ledger.judging import judge
from schemas import ids
from schemas.records import BudgetEntry, Case, Reminder
from schemas.topics import BUDGET, DECIDE, LATER, PERMITS
from streams.charters import Control
from streams.runtime.changes import Changes
from streams.runtime.delivery import Delivery
from streams.runtime.guard import Route
from streams.runtime.policy import Clock
from streams.runtime.stage import Commit
from streams.runtime.tables import FactTable
from streams.stages import audit
from streams.stages.anomalies import Breaker
from streams.stages.facts import stored
from streams.stages.permits import Permits


class Budget:
    """Handlers of the budget stage."""

    name = "budget"
    table_names = ("ledger", "permits", "pauses")

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self._accounts: dict[str, Account] = {}
        self._permits = Permits(clock)
        self._breaker = Breaker(control, clock)
        self._ledger: FactTable

    def routes(self) -> tuple[Route, ...]:
        return (Route(BUDGET, self.enter), Route(PERMITS, self._permits.ask))

    def bind(self, tables: dict[str, FactTable], commit: Commit) -> None:
        self._ledger = tables["ledger"]
        self._permits.bind(tables["permits"])
        self._breaker.bind(tables)

    def recovered(self) -> None:
        """Derive every account again, and every limit's slots."""
        self._permits.recovered()
        self._accounts = {}
        self._breaker.recovered()
        for partition in self._ledger.partitions_held():
            for value in self._ledger.facts(partition).values():
                fact = Fact.model_validate_json(value)
                self._account(fact.agent).replace(None, fact)

    def tick(self, partition: int, changes: Changes) -> None:
        """Say which reservations have waited too long; drop facts of days that are over."""
        for key in self._ledger.expired(partition, self._clock().timestamp()):
            fact = self._read(partition, key.decode())
            if fact is not None and fact.state == "open":
                changes.emit(BUDGET, lines.expiring(fact))
            else:
                changes.forget(self._ledger, key.decode())
                if fact is not None:
                    self._account(fact.agent).replace(fact, None)
        self._permits.tick(partition, changes)

    async def close(self) -> None:
        """Nothing is held."""

    def enter(self, delivery: Delivery[BudgetEntry], changes: Changes) -> None:
        """One line of the ledger."""
        entry = delivery.record
        known = self._read(delivery.partition, _key(entry.agent, entry.case_id, entry.step))
        if entry.kind == "reserve":
            self._reserve(delivery, known, changes)
            return
        fact = ledger.after(known, entry)
        if fact is not None:
            self._remember(fact, known, changes)
            self._breaker.see(fact, delivery, changes)
        else:
            self._breaker.say_again(delivery, changes)

    # -- reserve

    def _reserve(self, delivery: Delivery[BudgetEntry], known: Fact | None, changes: Changes) -> None:
        entry, now = delivery.record, self._clock()
        if entry.case is None:
            raise ValueError("a reserve entry carries the case that it is for")
        if known is not None and not (known.state == "deferred" and known.until <= now.timestamp()):
            self._say(known, delivery, changes, now)  # read before: the same fact, the same words
            return
        compiled = self._control.charter(entry.agent, entry.case.charter_version)
        fact = judge(self._account(entry.agent), compiled, entry.case, known, now)
        self._say(fact, delivery, changes, now)
        self._remember(fact, known, changes)

    def _say(self, fact: Fact, delivery: Delivery[BudgetEntry], changes: Changes, now: datetime) -> None:
        entry, trace = delivery.record, delivery.traceparent
        case = entry.case
        assert case is not None
        if fact.state == "refused":
            changes.audit(audit.refused(case, fact.reason, trace, now))
        elif fact.state == "deferred":
            until = datetime.fromtimestamp(fact.until, UTC)
            changes.emit(LATER, _wake(entry, case, until, changes, trace))
            changes.audit(audit.deferred(entry, case, fact.reason, until, trace, now))
        else:
            changes.emit(DECIDE, case.model_copy(update=_told(fact, case)))

    # -- facts

    def _read(self, partition: int, key: str) -> Fact | None:
        value = self._ledger.read(partition, key)
        return None if value is None else Fact.model_validate_json(value)

    # The account changes last: what fails before it leaves nothing behind.
    def _remember(self, fact: Fact, before: Fact | None, changes: Changes) -> None:
        key = _key(fact.agent, fact.case_id, fact.step)
        changes.put(self._ledger, key, stored(fact), fact.kept_until)
        self._account(fact.agent).replace(before, fact)

    def _account(self, agent: str) -> Account:
        return self._accounts.setdefault(agent, Account())


def _key(agent: str, case_id: str, step: int) -> str:
    # The first step's has no number: so it was when a case had one reservation.
    return f"{agent}|{case_id}|{step}" if step else f"{agent}|{case_id}"


def _told(fact: Fact, case: Case) -> dict[str, object]:
    """What the case knows of its money; why a person has it, where there is none."""
    if fact.state == "escalated":
        return {"reserved_microusd": 0, "escalate_because": fact.reason}
    held = fact.reserved_microusd
    return {
        "reserved_microusd": case.spent.cost_microusd + held if held else 0,
        "budget_day": fact.day,
        "closed_actions": fact.closed_actions,
    }


def _wake(entry: BudgetEntry, case: Case, until: datetime, changes: Changes, traceparent: str) -> Reminder:
    """The same entry again, when there may be room."""
    return Reminder(
        reminder_id=ids.reminder_id(entry.entry_id, until.isoformat()),
        subject=case.subject,
        due_at=until + timedelta(milliseconds=1),
        topic=BUDGET.name,
        key=entry.agent,
        value=changes.codec.encode(entry),
        traceparent=traceparent,
        reason="deferred",
        case_id=case.case_id,
    )
