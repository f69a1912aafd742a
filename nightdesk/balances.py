"""An agent's day in money: what is spent, held and left, in all and by task. Called by `nightdesk budget show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from nightdesk.books import read_facts
from nightdesk.control import read_control
from nightdesk.settings import Settings
from processors.charter import Charter
from processors.ledger import Account
from processors.ledger.reserving import caps_of


@dataclass(frozen=True, slots=True)
class Purse:
    """`task` is empty for the whole day, else `event:TYPE` or `action:NAME`. What has no cap has nothing left of it."""

    agent: str
    day: str
    task: str
    spent_microusd: int
    unknown_microusd: int
    reserved_microusd: int
    left_microusd: int | None
    per_day_microusd: int | None
    tokens: int
    steps: int


def purses(settings: Settings, day: date, agent: str = "") -> list[Purse]:
    """Those of every agent that has a charter or spent anything on that day; of one, where it is named."""
    accounts: dict[str, Account] = {}
    for fact in read_facts(settings):
        accounts.setdefault(fact.agent, Account()).replace(None, fact)
    charters = {compiled.agent: compiled.charter for compiled in read_control(settings).current()}
    found: list[Purse] = []
    for name in sorted({*accounts, *charters}):
        if agent in ("", name):
            found += _of_day(name, day.isoformat(), accounts.get(name, Account()), charters.get(name))
    return found


def _of_day(agent: str, day: str, account: Account, charter: Charter | None) -> Iterator[Purse]:
    caps: Mapping[str, int] = {} if charter is None else caps_of(charter.budget)
    for task in sorted({*caps, *(task for of_day, task in account.balances if of_day == day)}):
        balance, cap = account.balance(day, task), caps.get(task)
        yield Purse(
            agent,
            day,
            task,
            balance.spent_microusd,
            balance.unknown_microusd,
            balance.reserved_microusd,
            None if cap is None else balance.left_microusd(cap),
            cap,
            balance.tokens,
            balance.steps,
        )
