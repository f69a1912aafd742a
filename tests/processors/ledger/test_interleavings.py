"""Any interleaving of steps, compared with a reference that adds everything up again each time.

The reference has a row for each step and knows nothing of facts, balances or replacement: it sums as a person with a
pencil would. Whatever happens in whatever order, no balance exceeds its cap, the account equals the sum of the rows,
and at the end, when everything unsettled has expired, the log, the facts and the rows agree.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from nightdesk.processors.ledger import Account, Fact, after, day_of
from nightdesk.processors.ledger.entries import expiry
from nightdesk.processors.ledger.reserving import BudgetPolicy, Granted, reserve
from nightdesk.processors.reconciliation import Cost, costs_of_log, costs_of_table, drifts
from nightdesk.schemas.records import BudgetEntry
from tests.effort import examples

START = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
DAY, EVENTS, ACTIONS = 1000, {"ask": 400}, {"refund": 300, "reply": 700}
HELD_FOR = timedelta(minutes=15)


@dataclass(frozen=True)
class Row:
    """One step, in the reference."""

    day: str
    event: str
    may: tuple[str, ...]
    amount: int
    sure: bool = False


class Interleavings(RuleBasedStateMachine):
    steps: Bundle[str] = Bundle("steps")
    settled: Bundle[BudgetEntry] = Bundle("settled")

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.account = Account()
        self.facts: dict[str, Fact] = {}
        self.rows: dict[str, Row] = {}
        self.log: list[BudgetEntry] = []

    # -- what happens

    @rule(target=steps, worst=st.integers(1, 500), event=st.sampled_from(["ask", "other"]))
    def asks(self, worst: int, event: str) -> str:
        case_id = f"c-{len(self.facts)}"
        caps = {"": DAY} | ({"event:ask": EVENTS["ask"]} if event == "ask" else {})
        verdict = reserve(self.account, BudgetPolicy(caps, actions_microusd=ACTIONS), worst, self.now)
        fact = Fact(
            agent="a",
            case_id=case_id,
            state="open" if isinstance(verdict, Granted) else "refused",
            day=day_of(self.now),
            at=self.now.timestamp(),
            until=(self.now + HELD_FOR).timestamp(),
            event_type=event,
        )
        if isinstance(verdict, Granted):
            told = {"held_actions": verdict.held_actions, "closed_actions": verdict.closed_actions}
            fact = fact.model_copy(update={"reserved_microusd": worst, **told})
            self.rows[case_id] = Row(fact.day, event, verdict.held_actions, worst)
        self._put(fact)
        return case_id

    @rule(target=settled, case_id=steps, share=st.floats(0, 1), action=st.sampled_from(["refund", "reply", "look", ""]))
    def settles(self, case_id: str, share: float, action: str) -> BudgetEntry:
        """Also long after it expired, and again with another amount: the first settlement counts."""
        fact = self.facts[case_id]
        done = "" if action in fact.closed_actions else action
        entry = self._line("settle", fact, int(fact.reserved_microusd * share), done)
        row = self.rows.get(case_id)
        if row is not None and not row.sure:
            may = (done,) if done in ACTIONS else ()
            self.rows[case_id] = replace(row, amount=entry.amount_microusd, may=may, sure=True)
        if row is not None:
            self._say(entry)
        return entry

    @rule(entry=settled)
    def comes_again(self, entry: BudgetEntry) -> None:
        if entry.case_id in self.rows:
            self._say(entry)

    @rule(minutes=st.sampled_from([1, 20, 300, 1500]))
    def time_goes_on(self, minutes: int) -> None:
        """Past midnight too; what is open for too long expires."""
        self.now += timedelta(minutes=minutes)
        for fact in list(self.facts.values()):
            if fact.state == "open" and fact.until <= self.now.timestamp():
                self._say(expiry(fact))

    @rule()
    def the_process_dies(self) -> None:
        self.account = Account()
        for fact in self.facts.values():
            self.account.replace(None, fact)

    # -- what always holds

    @invariant()
    def no_purse_passes_its_cap(self) -> None:
        for day in {row.day for row in self.rows.values()}:
            of_day = [row for row in self.rows.values() if row.day == day]
            assert total(of_day) <= DAY
            assert total(row for row in of_day if row.event == "ask") <= EVENTS["ask"]
            for action, cap in ACTIONS.items():
                assert total(row for row in of_day if action in row.may) <= cap

    @invariant()
    def the_account_is_the_sum_of_the_rows(self) -> None:
        for day in {row.day for row in self.rows.values()}:
            of_day = [row for row in self.rows.values() if row.day == day]
            scope_balances = {"": of_day, "event:ask": [row for row in of_day if row.event == "ask"]}
            scope_balances |= {f"action:{action}": [row for row in of_day if action in row.may] for action in ACTIONS}
            for task, rows in scope_balances.items():
                assert self.account.balance(day, task).left_microusd(DAY) == DAY - total(rows), task

    def teardown(self) -> None:
        self.time_goes_on(1500)
        assert not [fact for fact in self.facts.values() if fact.state == "open"]
        assert list(drifts(costs_of_log(self.log), costs_of_table(self.facts.values()), self._audit(), self.now)) == []
        self.no_purse_passes_its_cap()
        self.the_account_is_the_sum_of_the_rows()

    # -- how

    def _audit(self) -> dict[str, Cost]:
        return {
            case_id: Cost("a", row.amount, 0, self.now) for case_id, row in self.rows.items() if row.sure and row.amount
        }

    def _line(self, kind: str, fact: Fact, amount: int, action: str) -> BudgetEntry:
        known = {"entry_id": f"{kind}-{len(self.log)}", "kind": kind, "agent": "a", "case_id": fact.case_id}
        told = {"amount_microusd": amount, "action": action, "day": fact.day, "event_type": fact.event_type}
        return BudgetEntry.model_validate({**known, **told, "time": self.now})

    def _say(self, entry: BudgetEntry) -> None:
        self.log.append(entry)
        fact = after(self.facts[entry.case_id], entry)
        if fact is not None:
            self._put(fact)

    def _put(self, fact: Fact) -> None:
        self.account.replace(self.facts.get(fact.case_id), fact)
        self.facts[fact.case_id] = fact


def total(rows: Iterable[Row]) -> int:
    return sum(row.amount for row in rows)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=examples(150), stateful_step_count=40)
