"""Do the three books of an agent's money agree: the log, the table and the audit? Pure.

`nightdesk budget verify` reads the books and asks here. The log is the `budget` topic, the table what the budget stage
keeps of it, the audit what the decisions say that they cost. Each is compared case by case, to the micro-dollar; a case
that a book does not name cost nothing there.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from processors.ledger import Fact
from schemas.records import BudgetEntry

# A settlement younger than this is in the table; an older one may have been forgotten there, so it is not asked.
IN_TABLE_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one case cost, as one book has it. `at` is when it was settled."""

    agent: str
    microusd: int
    tokens: int
    at: datetime


Book = Mapping[str, Cost]


@dataclass(frozen=True, slots=True)
class Drift:
    """A case about which the books differ. `table_microusd` is None where the table may have forgotten it."""

    agent: str
    case_id: str
    log_microusd: int
    table_microusd: int | None
    audit_microusd: int


def book_of_log(entries: Iterable[BudgetEntry]) -> dict[str, Cost]:
    """Recompute every case from the lines of the ledger: the first of an id counts."""
    book: dict[str, Cost] = {}
    seen: set[str] = set()
    for entry in entries:
        if entry.kind != "reserve" and entry.entry_id not in seen:
            seen.add(entry.entry_id)
            spent = entry.amount_microusd if entry.kind == "settle" else 0
            _add(book, entry.case_id, Cost(entry.agent, spent, entry.tokens, entry.time))
    return book


def book_of_table(facts: Iterable[Fact]) -> dict[str, Cost]:
    """What the budget stage's facts come to."""
    book: dict[str, Cost] = {}
    for fact in facts:
        if fact.state == "settled":
            at = datetime.fromtimestamp(fact.at, UTC)
            _add(book, fact.case_id, Cost(fact.agent, fact.spent_microusd, fact.tokens, at))
    return book


def _add(book: dict[str, Cost], case_id: str, cost: Cost) -> None:
    known = book.get(case_id)
    if known is not None:
        cost = Cost(cost.agent, known.microusd + cost.microusd, known.tokens + cost.tokens, max(known.at, cost.at))
    book[case_id] = cost


def drifts(log: Book, table: Book, audit: Book, now: datetime) -> Iterator[Drift]:
    """Every case about which the three differ."""
    for case_id in sorted({*log, *table, *audit}):
        known = next(book[case_id] for book in (log, table, audit) if case_id in book)
        in_table: int | None = _microusd(table, case_id)
        if case_id not in table and known.at < now - IN_TABLE_FOR:
            in_table = None
        drift = Drift(known.agent, case_id, _microusd(log, case_id), in_table, _microusd(audit, case_id))
        if len({drift.log_microusd, drift.audit_microusd, in_table} - {None}) > 1:
            yield drift


def _microusd(book: Book, case_id: str) -> int:
    return book[case_id].microusd if case_id in book else 0
