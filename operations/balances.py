"""The balances of an agent's day: spent, held and left, in total and by scope."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.installation import Installation
from nightdesk.operations.ledger_audit import read_facts
from nightdesk.operations.orders import read_control
from nightdesk.processors.charter import Charter
from nightdesk.processors.ledger import Account
from nightdesk.processors.ledger.reserving import caps_of


@dataclass(frozen=True, slots=True)
class ScopeBalance:
    """The balance of a scope: `event:TYPE`, `action:NAME`, or empty for the whole day. `day` is a day in `time_zone`,
    which is that of the promoted charter's budget. Without a cap, what is left is None.
    """

    agent: str
    day: str
    time_zone: str
    scope: str
    spent_microusd: int
    unknown_microusd: int
    reserved_microusd: int
    left_microusd: int | None
    per_day_microusd: int | None
    tokens: int
    steps: int


def scope_balances(settings: Installation, day: str, now: datetime, agent: str = "") -> list[ScopeBalance]:
    """The balances of one agent, or of every agent that has a charter or spent anything on that day. Without a day, the
    current day of each agent's budget is used.

    Raises `Failure`, also for an unknown agent.
    """
    asked = balance_day(day, now.date())
    accounts: dict[str, Account] = {}
    for fact in read_facts(settings):
        accounts.setdefault(fact.agent, Account()).replace(None, fact)
    charters = {compiled.agent: compiled.charter for compiled in read_control(settings).current()}
    found: list[ScopeBalance] = []
    for name in sorted({*accounts, *charters}):
        if agent in ("", name):
            charter = charters.get(name)
            zone = UTC if charter is None else charter.budget.zone
            of_agent = asked or now.astimezone(zone).date()
            found += _of_day(name, of_agent.isoformat(), accounts.get(name, Account()), charter)
    if not found:
        raise Failure(f"no agent {agent!r} is known", "See `nightdesk charter list`", FailureKind.NOT_FOUND)
    return found


def balance_day(text: str, today: date) -> date | None:
    """The day in the text; None for an empty text. Raises `Failure` for a text that is no day, and for a day of which
    the budget stage has begun to delete facts. `today` is the day in UTC; another time zone may already have the next
    one.
    """
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Failure(f"{text!r} is not a day", "Write it as in 2026-11-20", FailureKind.INVALID) from None
    if day < today - timedelta(days=1):
        raise Failure(f"{day} is over", "Ask `nightdesk sql 'SELECT * FROM costs_by_day'`", FailureKind.NOT_FOUND)
    return day


def _of_day(agent: str, day: str, account: Account, charter: Charter | None) -> Iterator[ScopeBalance]:
    caps: Mapping[str, int] = {} if charter is None else caps_of(charter.budget)
    zone = "UTC" if charter is None else charter.budget.time_zone
    for scope in sorted({*caps, *(scope for of_day, scope in account.balances if of_day == day)}):
        balance, cap = account.balance(day, scope), caps.get(scope)
        yield ScopeBalance(
            agent,
            day,
            zone,
            scope,
            balance.spent_microusd,
            balance.unknown_microusd,
            balance.reserved_microusd,
            None if cap is None else balance.left_microusd(cap),
            cap,
            balance.tokens,
            balance.steps,
        )
