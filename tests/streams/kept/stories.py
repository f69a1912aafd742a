"""For each table what a worker left in it, and what a worker of today has to make of that. Listed by hand at the end.

A story begins on a bench whose tables are kept, and goes on on another that finds them. What goes on may rely on
nothing that was computed when it began: another version computed it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from processors.charter import CompiledCharter
from schemas.records import BudgetEntry, Case, Decision, Reminder
from schemas.topics import ACT, APPROVALS, BUDGET, BY_NAME, DECIDE, INGEST, LATER
from streams.stages.act import Act
from streams.stages.budget import Budget
from streams.stages.decide import Decide
from streams.stages.ingest import Ingest, _ask_for_money
from streams.stages.later import Later
from tests.processors.examples import NOW, answer, case, compiled, event, reply
from tests.streams.kept.tables import Tables, recover
from tests.streams.stages.bench import CODEC, TRACE, Bench, Clock, Crash, Step, audited, in_force, said
from tests.streams.stages.test_approvals import REFUND, _reply
from tests.streams.stages.test_decide import UNAVAILABLE, Model
from tests.streams.stages.world import BUSY, World, decision

CHARTER = compiled()
# A case costs a cent, whatever a model costs today, and the day has no room for two.
CENTS = "per_day_usd: 0.01, per_case_usd: 0.01"


@dataclass(frozen=True)
class Story:
    """`begins` gives the worker that ended; `goes_on` finds its tables."""

    name: str
    begins: Callable[[], Awaitable[Bench]]
    goes_on: Callable[[Tables], Awaitable[None]]


def _numbered(number: int, charter: CompiledCharter = CHARTER) -> Case:
    """As many cases as are needed, all of one subject."""
    return case(charter, event().model_copy(update={"id": f"e-{number}"}))


# -- ingest: seen, subject_rates


def _ingest() -> Bench:
    return Bench(Ingest(in_force(CHARTER), Clock()))


async def _five_events_came() -> Bench:
    bench = _ingest()
    for number in range(5):
        await bench.take(INGEST, event().model_copy(update={"id": f"e-{number}"}), offset=number)
    return bench


async def _they_come_again(tables: Tables) -> None:
    bench = recover(_ingest(), tables)
    last, one_more = (event().model_copy(update={"id": f"e-{number}"}) for number in (4, 5))
    assert said(await bench.take(INGEST, last, offset=4), BUDGET, BudgetEntry), "the same record is done again"
    [duplicate] = audited(await bench.take(INGEST, last, offset=9))
    assert "came before" in duplicate.reason
    [refused] = audited(await bench.take(INGEST, one_more, offset=10))
    assert "more than 5" in refused.reason


# -- budget: ledger


def _frugal(when_spent: str, agent: str = "desk") -> CompiledCharter:
    return compiled(
        ("agent: desk", f"agent: {agent}"),
        ("per_day_usd: 25, per_case_usd: 0.50", f"{CENTS}, when_spent: {when_spent}"),
    )


OPEN, ESCALATES, REFUSES = _frugal("defer"), _frugal("escalate", "hands-over"), _frugal("refuse", "says-no")


def _budget() -> Bench:
    return Bench(Budget(in_force(OPEN, ESCALATES, REFUSES), Clock()))


def _reserve(charter: CompiledCharter, number: int) -> BudgetEntry:
    return _ask_for_money(_numbered(number, charter), NOW)


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


# -- decide: replies


async def _questions_were_asked() -> Bench:
    bench = Bench(Decide(in_force(CHARTER), Model(), Clock()))
    replied = Model(reply(answer("respond", text="x"), cost_microusd=1000))
    for number, (model, steps) in enumerate(((replied, 2), (Model(UNAVAILABLE), 2), (Model(), 1))):
        bench = Bench(Decide(in_force(CHARTER), model, Clock()), Step(crash_after=steps)).inherit(bench)
        with pytest.raises(Crash):
            await bench.take(DECIDE, _numbered(number))
    return bench


async def _no_answer_is_bought_again(tables: Tables) -> None:
    model = Model(reply(answer("respond", text="y"), cost_microusd=1000))
    bench = recover(Bench(Decide(in_force(CHARTER), model, Clock())), tables)
    made = [said(await bench.take(DECIDE, _numbered(number)), ACT, Decision)[0] for number in range(3)]
    assert [decision.provider for decision in made] == ["anthropic", "rules", "anthropic"]
    assert (made[0].parameters, made[0].cost_microusd, made[1].cost_microusd) == ('{"text":"x"}', 1000, 70)
    assert len(model.asked) == 1, "only the question whose answer was lost"
    assert made[2].cost_microusd > 1000, "and that one stays charged"


# -- act: progress, approvals

DONE, TRIED = (decision(_numbered(number), text="tomorrow") for number in (7, 8))


def _act(world: World, crash_after: int | None = None) -> Bench:
    return Bench(Act(in_force(CHARTER), world, Clock()), Step(crash_after))


async def _decisions_were_begun() -> Bench:
    bench = _act(World(send=[BUSY]))
    await bench.take(ACT, TRIED)  # will be tried again
    await bench.take(ACT, DONE, 1)
    await bench.take(ACT, REFUND, 2)
    begun = _act(World(), crash_after=1).inherit(bench)
    with pytest.raises(Crash):  # approved, and the payment begun
        await begun.take(APPROVALS, _reply())
    return begun


async def _they_are_ended(tables: Tables) -> None:
    world = World()
    bench = recover(_act(world), tables)
    [done] = audited(await bench.take(ACT, DONE, 1))
    assert (done.status, world.calls) == ("completed", []), "each step was done"
    [tried] = audited(await bench.take(ACT, TRIED, 3))
    assert '"attempts":2' in tried.detail
    approved = audited(await bench.take(APPROVALS, _reply()))
    assert '"status":"unknown"' in approved[-1].detail, "it was begun, and nobody knows how it ended"
    assert "pay" not in world.handlers


async def _a_person_answered() -> Bench:
    bench = _act(World())
    await bench.take(ACT, REFUND)
    await bench.take(APPROVALS, _reply("reject"), 1)
    return bench


async def _nobody_answers_again(tables: Tables) -> None:
    world = World()
    [void] = audited(await recover(_act(world), tables).take(APPROVALS, _reply(), 2))
    assert ("answered before: reject" in void.reason, world.calls) == (True, [])


# -- later: timers


def _reminder(number: int, after_s: float) -> Reminder:
    return Reminder(
        reminder_id=f"reminder-{number}",
        subject="t-1",
        due_at=NOW.fromtimestamp(NOW.timestamp() + after_s, NOW.tzinfo),
        topic="decide",
        key="t-1",
        value=CODEC.encode(case(CHARTER)),
        traceparent=TRACE,
        reason="wait",
        case_id="case-1",
    )


async def _timers_were_set() -> Bench:
    clock = Clock()
    bench = Bench(Later(clock))
    for number, after_s in enumerate((60, 3600)):
        await bench.take(LATER, _reminder(number, after_s), number)
    clock.forward(60)
    bench.tick()
    return bench


async def _each_fires_once(tables: Tables) -> None:
    clock = Clock()
    bench = recover(Bench(Later(clock)), tables)
    clock.forward(3599)
    assert bench.tick().messages == []
    clock.forward(1)
    [message] = bench.tick().messages
    assert (message.topic, message.key) == ("t." + BY_NAME["decide"].name, b"t-1")
    for number in range(2):
        assert (await bench.take(LATER, _reminder(number, 60))).puts == []


STORIES: tuple[Story, ...] = (
    Story("five events of a subject came", _five_events_came, _they_come_again),
    Story("money was asked for", _money_was_asked_for, _the_ledger_goes_on),
    Story("questions were asked", _questions_were_asked, _no_answer_is_bought_again),
    Story("decisions were begun", _decisions_were_begun, _they_are_ended),
    Story("a person answered", _a_person_answered, _nobody_answers_again),
    Story("timers were set", _timers_were_set, _each_fires_once),
)
