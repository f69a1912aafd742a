"""Checks of an agent's money, recomputed from the topics write by write, without the code of the budget stage.

`checker.py` lists these checks with the others.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from nightdesk.processors.ledger import Fact
from tests.chaos.facts import Facts, LedgerWrite


def balances_agree(facts: Facts) -> Iterator[str]:
    """The ledger, the budget topic and ClickHouse agree on what was spent. Drift 0."""
    ledger, topic = _spent_by_ledger(facts), _spent_by_topic(facts)
    inserted = Counter({agent: cost.cost_microusd for agent, cost in facts.costs.items()})
    for agent in sorted(ledger.keys() | topic.keys() | inserted.keys()):
        found = ledger[agent], topic[agent], inserted[agent]
        if len(set(found)) > 1:
            yield f"{agent} spent {found[0]} by its ledger, {found[1]} by the budget topic, {found[2]} by ClickHouse"


def settled_once(facts: Facts) -> Iterator[str]:
    """Every step that got money was settled; if it was settled twice, then with the same amount."""
    amounts: dict[tuple[str, int], set[int]] = defaultdict(set)
    for entry in facts.entries:
        if entry.kind == "settle":
            amounts[entry.case_id, entry.step].add(entry.amount_microusd)
    for case_id, step in sorted({(case.case_id, case.step) for case in facts.cases if case.reserved_microusd}):
        found = amounts[case_id, step]
        if len(found) != 1:
            yield f"step {step} of case {case_id} was settled with {sorted(found)}"


def nothing_reserved(facts: Facts) -> Iterator[str]:
    """No reservation is open at the end, and none had to expire."""
    for fact in _ledger(facts).values():
        if fact.state in ("open", "unknown"):
            yield f"case {fact.case_id} of {fact.agent} is {fact.state}, {fact.reserved_microusd} reserved"


def limit_kept(facts: Facts) -> Iterator[str]:
    """At no moment, in the order of the log, was more spent and reserved than the day allows."""
    held: dict[bytes, tuple[int, Fact]] = {}
    totals: Counter[tuple[str, str]] = Counter()
    passed: Counter[tuple[str, str]] = Counter()
    for write in facts.ledger:
        before = held.get(write.key)
        if not _counts(write, before):
            continue
        if before is not None:
            totals[_day(before[1])] -= _held(before[1])
        if write.fact is None:
            del held[write.key]
            continue
        held[write.key] = write.term, write.fact
        day = _day(write.fact)
        totals[day] += _held(write.fact)
        passed[day] = max(passed[day], totals[day] - facts.limits_microusd[write.fact.agent])
    for (agent, of), over in passed.items():
        if over > 0:
            yield f"{agent} passed its limit of {of} by {over}"


def verified(facts: Facts) -> Iterator[str]:
    """`nightdesk budget verify` finds no difference either."""
    yield from facts.drifts


CHECKS: tuple[Callable[[Facts], Iterator[str]], ...] = (
    balances_agree,
    settled_once,
    nothing_reserved,
    limit_kept,
    verified,
)


def _counts(write: LedgerWrite, before: tuple[int, Fact] | None) -> bool:
    """Whether recovery would accept the write: not if a process wrote it after it had lost the partition."""
    if write.fact is None:
        return before is not None
    return before is None or write.term >= before[0]


def _ledger(facts: Facts) -> dict[bytes, Fact]:
    """The state of the ledger according to its changelog."""
    held: dict[bytes, tuple[int, Fact]] = {}
    for write in facts.ledger:
        if not _counts(write, held.get(write.key)):
            continue
        if write.fact is None:
            del held[write.key]
        else:
            held[write.key] = write.term, write.fact
    return {key: fact for key, (_, fact) in held.items()}


def _day(fact: Fact) -> tuple[str, str]:
    return fact.agent, fact.day


def _held(fact: Fact) -> int:
    if fact.state in ("open", "unknown"):
        return fact.reserved_microusd
    return fact.spent_microusd if fact.state == "settled" else 0


def _spent_by_ledger(facts: Facts) -> Counter[str]:
    spent: Counter[str] = Counter()
    for fact in _ledger(facts).values():
        spent[fact.agent] += fact.spent_microusd
    return spent


def _spent_by_topic(facts: Facts) -> Counter[str]:
    """The spent amounts according to the topic. The first of each entry counts."""
    first: dict[str, tuple[str, int]] = {}
    for entry in facts.entries:
        if entry.kind == "settle":
            first.setdefault(entry.entry_id, (entry.agent, entry.amount_microusd))
    spent: Counter[str] = Counter()
    for agent, amount_microusd in first.values():
        spent[agent] += amount_microusd
    return spent
