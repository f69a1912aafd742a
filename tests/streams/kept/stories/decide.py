"""Decide: `replies`."""

import pytest

from schemas.records import Decision
from schemas.topics import ACT, DECIDE
from streams.stages.decide import Decide
from tests.processors.examples import answer, reply
from tests.streams.kept.stories.story import CHARTER, Story, numbered
from tests.streams.kept.tables import Tables, recover
from tests.streams.stages.bench import Bench, Clock, Crash, Step, in_force, said
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


STORIES = (Story("questions were asked", _questions_were_asked, _no_answer_is_bought_again),)
