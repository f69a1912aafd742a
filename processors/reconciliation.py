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
    """What one case cost, as one book has it. `at` is when it was last settled; `unknown_microusd` was held for steps
    that nobody settled.
    """

    agent: str
    microusd: int
    tokens: int
    at: datetime
    unknown_microusd: int = 0


Book = Mapping[str, Cost]


@dataclass(frozen=True, slots=True)
class Drift:
    """A case about which the books differ. What the table says is None where it may have forgotten the case."""

    agent: str
    case_id: str
    log_microusd: int
    table_microusd: int | None
    audit_microusd: int
    log_unknown_microusd: int = 0
    table_unknown_microusd: int | None = 0


def book_of_log(entries: Iterable[BudgetEntry]) -> dict[str, Cost]:
    """Recompute every case from the lines of the ledger: of each step the first settlement, or else the expiry."""
    steps: dict[tuple[str, int], BudgetEntry] = {}
    for entry in entries:
        place = (entry.case_id, entry.step)
        known = steps.get(place)
        if entry.kind in ("settle", "release") and (known is None or known.kind == "expire"):
            steps[place] = entry
        elif entry.kind == "expire":
            steps.setdefault(place, entry)
    book: dict[str, Cost] = {}
    for entry in steps.values():
        spent = entry.amount_microusd if entry.kind == "settle" else 0
        unknown = entry.amount_microusd if entry.kind == "expire" else 0
        _add(book, entry.case_id, Cost(entry.agent, spent, entry.tokens, entry.time, unknown))
    return book


def book_of_table(facts: Iterable[Fact]) -> dict[str, Cost]:
    """What the budget stage's facts come to."""
    book: dict[str, Cost] = {}
    for fact in facts:
        at = datetime.fromtimestamp(max(fact.at, fact.settled_at), UTC)
        if fact.state == "settled":
            _add(book, fact.case_id, Cost(fact.agent, fact.spent_microusd, fact.tokens, at))
        elif fact.state == "unknown":
            _add(book, fact.case_id, Cost(fact.agent, 0, 0, at, fact.reserved_microusd))
    return book


def _add(book: dict[str, Cost], case_id: str, step: Cost) -> None:
    before = book.get(case_id, Cost(step.agent, 0, 0, step.at))
    book[case_id] = Cost(
        step.agent,
        before.microusd + step.microusd,
        before.tokens + step.tokens,
        max(before.at, step.at),
        before.unknown_microusd + step.unknown_microusd,
    )


def drifts(log: Book, table: Book, audit: Book, now: datetime) -> Iterator[Drift]:
    """Every case about which the three differ."""
    for case_id in sorted({*log, *table, *audit}):
        known = next(book[case_id] for book in (log, table, audit) if case_id in book)
        in_log, in_audit = _sums(log, case_id), _sums(audit, case_id)
        forgotten = case_id not in table and known.at < now - IN_TABLE_FOR
        in_table = in_log if forgotten else _sums(table, case_id)
        if in_log != in_table or in_log[0] != in_audit[0]:
            said = (None, None) if forgotten else in_table
            yield Drift(known.agent, case_id, in_log[0], said[0], in_audit[0], in_log[1], said[1])


def _sums(book: Book, case_id: str) -> tuple[int, int]:
    cost = book.get(case_id)
    return (0, 0) if cost is None else (cost.microusd, cost.unknown_microusd)
