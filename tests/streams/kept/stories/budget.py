"""Budget: `ledger`, `waiting`, `agent_clocks`."""

from nightdesk.processors.charter import CompiledCharter
from nightdesk.processors.ledger.entries import reservation
from nightdesk.schemas.records import BudgetEntry, Case
from nightdesk.schemas.topics import BUDGET, DECIDE
from nightdesk.streams.stages.budget import Budget
from tests.processors.examples import NOW, compiled
from tests.streams.kept.stories.story import Story, numbered
from tests.streams.kept.tables import Tables, recover
from tests.streams.stages.stage_harness import Bench, Clock, audited, in_force, order, said

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
    return reservation(numbered(number, charter), NOW)


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
    bench.handlers._control.apply(order("pause", "desk", "desk", reason="night"))  # type: ignore[attr-defined]  # it comes from the control topic
    bench.tick()  # the clock of what waits stands still
    return bench


async def _the_ledger_goes_on(tables: Tables) -> None:
    bench = recover(_budget(), tables)
    first = _reserve(OPEN, 1)
    [held] = said(await bench.take(BUDGET, first), DECIDE, Case)
    assert held.reserved_microusd == 10_000, "the same fact, the same words"
    assert audited(await bench.take(BUDGET, _reserve(OPEN, 3)))[0].kind == "deferred", "the open one holds the money"
    [escalated] = said(await bench.take(BUDGET, _reserve(ESCALATES, 2)), DECIDE, Case)
    assert escalated.escalate_because
    [refused] = audited(await bench.take(BUDGET, _reserve(REFUSES, 2)))
    assert refused.status == "refused"
    assert audited(await bench.take(BUDGET, _reserve(OPEN, 2)))[0].kind == "deferred", "it waits already"
    settled = first.model_copy(update={"kind": "settle", "amount_microusd": 0, "case": None})
    await bench.take(BUDGET, settled)
    [went_on] = said(bench.tick(), DECIDE, Case)
    assert went_on.event.id == "e-2", "there is room now, and it came before e-3"


STORIES = (Story("money was asked for", _money_was_asked_for, _the_ledger_goes_on),)
