"""Budget: `ledger`."""

from processors.charter import CompiledCharter
from processors.ledger.lines import asking
from schemas.records import BudgetEntry, Case, Reminder
from schemas.topics import BUDGET, DECIDE, LATER
from streams.stages.budget import Budget
from tests.processors.examples import NOW, compiled
from tests.streams.kept.stories.story import Story, numbered
from tests.streams.kept.tables import Tables, recover
from tests.streams.stages.bench import Bench, Clock, audited, in_force, said

# A case costs a cent, whatever a model costs today, and the day has no room for two.
CENTS = "per_day_usd: 0.01, per_case_usd: 0.01"


def _frugal(when_spent: str, agent: str = "desk") -> CompiledCharter:
    return compiled(
        ("agent: desk", f"agent: {agent}"),
        ("per_day_usd: 25, per_case_usd: 0.50", f"{CENTS}, when_spent: {when_spent}"),
    )


OPEN, ESCALATES, REFUSES = _frugal("defer"), _frugal("escalate", "hands-over"), _frugal("refuse", "says-no")


def _budget() -> Bench:
    return Bench(Budget(in_force(OPEN, ESCALATES, REFUSES), Clock()))


def _reserve(charter: CompiledCharter, number: int) -> BudgetEntry:
    return asking(numbered(number, charter), NOW)


async def _money_was_asked_for() -> Bench:
    bench = _budget()
    for number in (1, 2):  # one is open, one waits for its end
        await bench.take(BUDGET, _reserve(OPEN, number))
    for charter in (ESCALATES, REFUSES):
        entry = _reserve(charter, 1)
        await bench.take(BUDGET, entry)
        spent = {"kind": "settle", "amount_microusd": 10_000, "tokens": 15, "case": None}
        await bench.take(BUDGET, entry.model_copy(update=spent))
        await bench.take(BUDGET, _reserve(charter, 2))
    return bench


async def _the_ledger_goes_on(tables: Tables) -> None:
    bench = recover(_budget(), tables)
    first = _reserve(OPEN, 1)
    [held] = said(await bench.take(BUDGET, first), DECIDE, Case)
    assert held.reserved_microusd == 10_000, "the same fact, the same words"
    assert said(await bench.take(BUDGET, _reserve(OPEN, 3)), LATER, Reminder), "the open one holds the day's money"
    [escalated] = said(await bench.take(BUDGET, _reserve(ESCALATES, 2)), DECIDE, Case)
    assert escalated.escalate_because
    [refused] = audited(await bench.take(BUDGET, _reserve(REFUSES, 2)))
    assert refused.status == "refused"
    [again] = said(await bench.take(BUDGET, _reserve(OPEN, 2)), LATER, Reminder)
    settled = first.model_copy(update={"kind": "settle", "amount_microusd": 0, "case": None})
    await bench.take(BUDGET, settled)
    bench.handlers._clock.forward((again.due_at - NOW).total_seconds())  # type: ignore[attr-defined]  # the bench's own clock
    assert said(await bench.take(BUDGET, _reserve(OPEN, 2)), DECIDE, Case), "there is room now"


STORIES = (Story("money was asked for", _money_was_asked_for, _the_ledger_goes_on),)
