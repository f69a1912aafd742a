"""Decide: `replies` and `returned`."""

import pytest

from nightdesk.schemas.records import BudgetEntry, Decision
from nightdesk.schemas.topics import ACT, BUDGET, DECIDE
from nightdesk.streams.stages.decide import Decide
from tests.processors.examples import answer, reply
from tests.streams.kept.stories.story import CHARTER, Story, numbered
from tests.streams.kept.tables import Tables, recover
from tests.streams.stages.stage_harness import Bench, Clock, Crash, Step, in_force, order, said
from tests.streams.stages.test_decide import UNAVAILABLE, Model


async def _questions_were_asked() -> Bench:
    bench = Bench(Decide(in_force(CHARTER), Model(), Clock()))
    replied = Model(reply(answer("respond", text="x"), cost_microusd=1000))
    for number, (model, steps) in enumerate(((replied, 2), (Model(UNAVAILABLE), 2), (Model(), 1))):
        bench = Bench(Decide(in_force(CHARTER), model, Clock()), Step(crash_after=steps)).inherit(bench)
        with pytest.raises(Crash):
            await bench.take(DECIDE, numbered(number))
    return bench


async def _no_answer_is_bought_again(tables: Tables) -> None:
    model = Model(reply(answer("respond", text="y"), cost_microusd=1000))
    bench = recover(Bench(Decide(in_force(CHARTER), model, Clock())), tables)
    made = [said(await bench.take(DECIDE, numbered(number)), ACT, Decision)[0] for number in range(3)]
    assert [decision.provider for decision in made] == ["anthropic", "rules", "anthropic"]
    assert (made[0].parameters, made[0].cost_microusd, made[1].cost_microusd) == ('{"text":"x"}', 1000, 70)
    assert len(model.asked) == 1, "only the question whose answer was lost"
    assert made[2].cost_microusd > 1000, "and that one stays charged"


async def _a_step_was_given_back() -> Bench:
    control = in_force(CHARTER)
    control.apply(order("pause", "desk", "desk"))
    bench = Bench(Decide(control, Model(), Clock()))
    await bench.take(DECIDE, numbered(0))
    return bench


async def _nothing_of_its_subject_overtakes_it(tables: Tables) -> None:
    model = Model(reply(answer("respond", text="x")))
    bench = recover(Bench(Decide(in_force(CHARTER), model, Clock())), tables)
    [behind] = said(await bench.take(DECIDE, numbered(1)), BUDGET, BudgetEntry)
    assert (behind.kind, behind.cause, model.asked) == ("returned", "paused", [])
    first = numbered(0).model_copy(update={"returns": 1})
    assert len(said(await bench.take(DECIDE, first, 1), ACT, Decision)) == 1


STORIES = (
    Story("questions were asked", _questions_were_asked, _no_answer_is_bought_again),
    Story("a step was given back", _a_step_was_given_back, _nothing_of_its_subject_overtakes_it),
)
