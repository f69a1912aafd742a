"""What is stored, for how long and why: it is still known just before its time is over, and deleted after.

The times are literals here, so whoever shortens one in the code has to explain why nobody needs it any more.
"""

from nightdesk.schemas.records import BudgetEntry, Decision
from nightdesk.schemas.topics import ACT, BUDGET, DECIDE, INGEST, TIMERS
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.budget import Budget
from nightdesk.streams.stages.decide import Decide
from nightdesk.streams.stages.ingest import Ingest
from nightdesk.streams.stages.timers import Timers
from tests.processors.examples import answer, case, compiled, event, reply
from tests.streams.stages.stage_harness import Bench, Clock, audited, in_force, said
from tests.streams.stages.test_budget import _reserve, _settle
from tests.streams.stages.test_decide import Model
from tests.streams.stages.test_timers import _reminder
from tests.streams.stages.world import World, decision

DAY_S = 86_400
CHARTER = compiled()


async def test_an_event_is_a_duplicate_for_seven_days() -> None:
    """A producer that sends again after an outage does so within a week."""
    clock = Clock()
    bench = Bench(Ingest(in_force(CHARTER), clock))
    await bench.take(INGEST, event(), 7)
    clock.forward(7 * DAY_S - 1)
    bench.tick()
    [again] = audited(await bench.take(INGEST, event(), 8))
    assert "came before" in again.reason
    clock.forward(2)
    bench.tick()
    assert len(said(await bench.take(INGEST, event(), 9), BUDGET, BudgetEntry)) == 1


async def test_a_reminder_is_known_as_said_for_a_day() -> None:
    """The record that set it may come again for as long as a stage that was down has not committed it."""
    clock = Clock()
    bench = Bench(Timers(clock))
    await bench.take(TIMERS, _reminder())
    clock.forward(60)
    bench.tick()
    clock.forward(DAY_S - 1)
    bench.tick()
    assert (await bench.take(TIMERS, _reminder(), 5)).puts == []
    assert bench.tick().messages == []
    clock.forward(2)
    bench.tick()
    assert len(bench.tables["timers"]) == 0


async def test_an_answer_of_a_model_is_not_bought_again_for_two_days() -> None:
    """A case that comes again after an outage, or is replayed the next day, uses the answer that was paid for."""
    clock, model = Clock(), Model(reply(answer("look")), reply(answer("look")))
    bench = Bench(Decide(in_force(CHARTER), model, clock))
    await bench.take(DECIDE, case(CHARTER))
    clock.forward(2 * DAY_S - 1)
    bench.tick()
    await bench.take(DECIDE, case(CHARTER))
    assert len(model.asked) == 1
    clock.forward(2)
    bench.tick()
    assert len(bench.tables["replies"]) == 0


async def test_what_was_done_is_not_done_again_for_thirty_days() -> None:
    """As long as the topic has the decision, somebody may read it again from the beginning."""
    clock, world = Clock(), World()
    made: Decision = decision(case(CHARTER), text="x")
    bench = Bench(Act(in_force(CHARTER), world, clock))
    await bench.take(ACT, made)
    calls = list(world.calls)
    clock.forward(30 * DAY_S - 1)
    bench.tick()
    await bench.take(ACT, made)
    assert world.calls == calls != []
    clock.forward(30 * DAY_S + 1)  # what came again is kept anew
    bench.tick()
    assert len(bench.tables["progress"]) == 0


async def test_a_step_that_was_settled_is_in_the_ledger_for_two_days() -> None:
    """By then its day is over in every time zone, and a late settlement has arrived or never will."""
    clock = Clock()
    bench = Bench(Budget(in_force(CHARTER), clock))
    await bench.take(BUDGET, _reserve())
    await bench.take(BUDGET, _settle(_reserve(), 1234))
    clock.forward(2 * DAY_S - 1)
    bench.tick()
    assert len(bench.tables["ledger"]) == 1
    clock.forward(2)
    bench.tick()
    assert len(bench.tables["ledger"]) == 0
