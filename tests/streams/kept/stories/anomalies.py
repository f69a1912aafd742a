"""Budget: `pauses`."""

from nightdesk.processors.ledger.entries import reservation, settlement
from nightdesk.schemas.records import BudgetEntry, Case, ControlCommand
from nightdesk.schemas.topics import BUDGET, CONTROL
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.stages.budget import Budget
from tests.processors.examples import NOW, compiled
from tests.streams.kept.stories.story import Story, numbered
from tests.streams.kept.tables import Tables, recover
from tests.streams.stages.stage_harness import Bench, Clock, in_force, said
from tests.streams.stages.world import decision

WATCHED = compiled(("mode: live", "mode: live\nanomalies: {at_least: 1, low_confidence_rate: 0}"))


def _budget() -> Bench:
    return Bench(Budget(in_force(WATCHED), Clock()))


def _doubtful(case: Case) -> BudgetEntry:
    return settlement(decision(case).model_copy(update={"low_confidence": True}))


async def _decided(bench: Bench, number: int) -> StagedWrites:
    case = numbered(number, WATCHED)
    await bench.take(BUDGET, reservation(case, NOW), offset=10 * number)
    return await bench.take(BUDGET, _doubtful(case), offset=10 * number + 1)


async def _it_was_paused() -> Bench:
    bench = _budget()
    await _decided(bench, 1)
    return bench


async def _nobody_pauses_it_again(tables: Tables) -> None:
    bench = recover(_budget(), tables)
    again = await bench.take(BUDGET, _doubtful(numbered(1, WATCHED)), offset=11)
    [pause] = said(again, CONTROL, ControlCommand)
    assert (pause.kind, pause.agent) == ("pause", "desk"), "the record that paused it says the same"
    assert said(await _decided(bench, 2), CONTROL, ControlCommand) == []


STORIES = (Story("an agent was paused", _it_was_paused, _nobody_pauses_it_again),)
