"""Compares the three records of an agent's costs: the log, the table and the audit. Pure.

`nightdesk budget verify` reads them and calls this. The log is the `budget` topic, the table is the budget stage's, the
audit is the cost in the decisions. They are compared case by case, to the micro-dollar; a missing case counts as 0.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nightdesk.processors.ledger import Fact
from nightdesk.schemas.records import BudgetEntry

# A settlement younger than this must be in the table; an older one may have been deleted, so it is not compared.
IN_TABLE_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one case in one of the three records. `at` is when it was last settled; `unknown_microusd` is
    reserved for steps that were never settled.
    """

    agent: str
    microusd: int
    tokens: int
    at: datetime
    unknown_microusd: int = 0


CostTable = Mapping[str, Cost]


@dataclass(frozen=True, slots=True)
class Drift:
    """A case whose costs differ. The table's amount is None if the table may have deleted the case."""

    agent: str
    case_id: str
    log_microusd: int
    table_microusd: int | None
    audit_microusd: int
    log_unknown_microusd: int = 0
    table_unknown_microusd: int | None = 0


def costs_of_log(entries: Iterable[BudgetEntry]) -> dict[str, Cost]:
    """Compute the cost of every case from the entries of the ledger: of each step the first settlement, or else the
    expiry.
    """
    steps: dict[tuple[str, int], BudgetEntry] = {}
    for entry in entries:
        place = (entry.case_id, entry.step)
        known = steps.get(place)
        if entry.kind == "settle" and (known is None or known.kind == "expire"):
            steps[place] = entry
        elif entry.kind == "expire":
            steps.setdefault(place, entry)
    book: dict[str, Cost] = {}
    for entry in steps.values():
        spent = entry.amount_microusd if entry.kind == "settle" else 0
        unknown = entry.amount_microusd if entry.kind == "expire" else 0
        _add(book, entry.case_id, Cost(entry.agent, spent, entry.tokens, entry.time, unknown))
    return book


def costs_of_table(facts: Iterable[Fact]) -> dict[str, Cost]:
    """The costs in the budget stage's facts."""
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


def drifts(log: CostTable, table: CostTable, audit: CostTable, now: datetime) -> Iterator[Drift]:
    """Every case whose costs differ."""
    for case_id in sorted({*log, *table, *audit}):
        known = next(book[case_id] for book in (log, table, audit) if case_id in book)
        in_log, in_audit = _sums(log, case_id), _sums(audit, case_id)
        forgotten = case_id not in table and known.at < now - IN_TABLE_FOR
        in_table = in_log if forgotten else _sums(table, case_id)
        if in_log != in_table or in_log[0] != in_audit[0]:
            recorded = (None, None) if forgotten else in_table
            yield Drift(known.agent, case_id, in_log[0], recorded[0], in_audit[0], in_log[1], recorded[1])


def _sums(book: CostTable, case_id: str) -> tuple[int, int]:
    cost = book.get(case_id)
    return (0, 0) if cost is None else (cost.microusd, cost.unknown_microusd)
