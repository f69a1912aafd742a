"""Budget: no case begins before its worst price is held; what it really cost is settled here. One writer per agent.

`ledger` holds one fact for each case (`processors/ledger.py`); the totals of each agent are derived from them in
memory and rebuilt on recovery. A case that finds no money or no room is deferred through `later`, escalated or
refused, as its charter says.
"""

from datetime import UTC, datetime, timedelta

from processors import ledger, prices, prompts
from processors.charter.compiled import CompiledCharter
from processors.ledger import Account, Fact, Granted, Withheld
from schemas import ids
from schemas.records import BudgetEntry, Case, Reminder
from schemas.topics import BUDGET, DECIDE, LATER
from streams.charters import Control
from streams.runtime.changes import Changes
from streams.runtime.delivery import Delivery
from streams.runtime.guard import Route
from streams.runtime.policy import Clock
from streams.runtime.stage import Commit
from streams.runtime.tables import FactTable
from streams.stages import audit

# Facts of settled cases stay a day after theirs, so that a late duplicate meets them.
KEPT_AFTER_DAY_S = 2 * 86_400


class Budget:
    """Handlers of the budget stage."""

    name = "budget"
    converses = False
    table_names = ("ledger",)

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self._accounts: dict[str, Account] = {}
        self._ledger: FactTable

    def routes(self) -> tuple[Route, ...]:
        return (Route(BUDGET, self.enter),)

    def bind(self, tables: dict[str, FactTable], commit: Commit) -> None:
        self._ledger = tables["ledger"]

    def recovered(self) -> None:
        """Derive every account again."""
        self._accounts = {}
        for partition in self._ledger.partitions_held():
            for value in self._ledger.facts(partition).values():
                fact = Fact.model_validate_json(value)
                self._account(fact.agent).replace(None, fact)

    def tick(self, partition: int, changes: Changes) -> None:
        """Drop facts of days that are over."""
        for key in self._ledger.expired(partition, self._clock().timestamp()):
            changes.forget(self._ledger, key.decode())

    async def close(self) -> None:
        """Nothing is held."""

    def enter(self, delivery: Delivery[BudgetEntry], changes: Changes) -> None:
        """One line of the ledger."""
        entry = delivery.record
        known = self._known(delivery)
        if entry.kind == "reserve":
            self._reserve(delivery, known, changes)
        else:
            self._settle(entry, known, changes)

    # -- reserve

    def _reserve(self, delivery: Delivery[BudgetEntry], known: Fact | None, changes: Changes) -> None:
        entry, now = delivery.record, self._clock()
        if entry.case is None:
            raise ValueError("a reserve entry carries the case that it is for")
        if known is not None and not (known.state == "deferred" and known.until <= now.timestamp()):
            self._say(known, delivery, changes, now)  # read before: the same fact, the same words
            return
        compiled = self._control.charter(entry.agent, entry.case.charter_version)
        fact = self._judge(compiled, entry.case, known, now)
        self._say(fact, delivery, changes, now)
        self._remember(fact, known, changes)

    def _judge(self, compiled: CompiledCharter, case: Case, known: Fact | None, now: datetime) -> Fact:
        fact = Fact(
            agent=case.agent,
            case_id=case.case_id,
            state="open",
            day=ledger.day_of(now),
            at=now.timestamp(),
            tries=known.tries + 1 if known else 1,
        )
        try:
            amount = _worst_price_microusd(compiled, case, now)
        except prices.UnknownPrice as error:
            return fact.model_copy(update={"state": "refused", "reason": str(error)})
        policy = ledger.Policy(compiled.charter.budget.per_day_microusd, compiled.charter.limits.agent)
        account = self._account(case.agent)
        # A case that waits already does not wait behind itself.
        account.deferred -= known is not None
        verdict = ledger.reserve(account, policy, amount, now)
        account.deferred += known is not None
        if isinstance(verdict, Granted):
            # Nothing held, nothing to settle.
            state = "open" if amount else "settled"
            return fact.model_copy(update={"state": state, "reserved_microusd": amount})
        return fact.model_copy(update=_withheld(verdict, compiled))

    def _say(self, fact: Fact, delivery: Delivery[BudgetEntry], changes: Changes, now: datetime) -> None:
        entry, trace = delivery.record, delivery.traceparent
        case = entry.case
        assert case is not None
        if fact.state in ("open", "settled"):
            changes.emit(DECIDE, case.model_copy(update={"reserved_microusd": fact.reserved_microusd}))
        elif fact.state == "escalated":
            changes.emit(DECIDE, case.model_copy(update={"escalate_because": fact.reason}))
        elif fact.state == "refused":
            changes.audit(audit.refused(case, fact.reason, trace, now))
        else:
            until = datetime.fromtimestamp(fact.until, UTC)
            changes.emit(LATER, _wake(entry, case, until, changes, trace))
            changes.audit(audit.deferred(entry, case, fact.reason, until, trace, now))

    # -- settle

    def _settle(self, entry: BudgetEntry, known: Fact | None, changes: Changes) -> None:
        if known is not None and known.state != "open":
            return  # settled before, or nothing was held
        spent = entry.amount_microusd if entry.kind == "settle" else 0
        basis = known or Fact(
            agent=entry.agent,
            case_id=entry.case_id,
            state="settled",
            day=ledger.day_of(entry.time),
            at=entry.time.timestamp(),
        )
        settled = basis.model_copy(update={"state": "settled", "spent_microusd": spent, "tokens": entry.tokens})
        self._remember(settled, known, changes)

    # -- facts

    def _known(self, delivery: Delivery[BudgetEntry]) -> Fact | None:
        value = self._ledger.read(delivery.partition, _key(delivery.record.agent, delivery.record.case_id))
        return None if value is None else Fact.model_validate_json(value)

    # The account changes last: what fails before it leaves nothing behind.
    def _remember(self, fact: Fact, before: Fact | None, changes: Changes) -> None:
        kept_until = 0.0 if fact.state in ("open", "deferred") else fact.at + KEPT_AFTER_DAY_S
        changes.put(self._ledger, _key(fact.agent, fact.case_id), fact.model_dump_json().encode(), kept_until)
        self._account(fact.agent).replace(before, fact)

    def _account(self, agent: str) -> Account:
        return self._accounts.setdefault(agent, Account())


def _key(agent: str, case_id: str) -> str:
    return f"{agent}|{case_id}"


def _worst_price_microusd(compiled: CompiledCharter, case: Case, now: datetime) -> int:
    """What the case may cost at most: every call that its bounds allow at its worst price, and never over its own
    cap.
    """
    asked = compiled.charter.decide.asked
    if not asked:
        return 0
    request = prompts.build(compiled, case)
    once = prices.worst_ask_price_microusd(asked, request, now)
    return min(compiled.charter.budget.per_case_microusd, once * compiled.charter.bounds.model_calls)


def _withheld(verdict: Withheld, compiled: CompiledCharter) -> dict[str, object]:
    when_spent = compiled.charter.budget.when_spent if verdict.spent else "defer"
    if when_spent == "defer":
        return {"state": "deferred", "reason": verdict.reason, "until": verdict.until}
    return {"state": "escalated" if when_spent == "escalate" else "refused", "reason": verdict.reason}


def _wake(entry: BudgetEntry, case: Case, until: datetime, changes: Changes, traceparent: str) -> Reminder:
    """The same entry again, when there may be room."""
    return Reminder(
        reminder_id=ids.reminder_id(entry.case_id, "reserve", until.isoformat()),
        subject=case.subject,
        due_at=until + timedelta(milliseconds=1),
        topic=BUDGET.name,
        key=entry.agent,
        value=changes.codec.encode(entry),
        traceparent=traceparent,
        reason="deferred",
        case_id=case.case_id,
    )
