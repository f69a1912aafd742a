"""Ingest: `seen`, `subject_rates` and `waiting`."""

from nightdesk.schemas.records import BudgetEntry
from nightdesk.schemas.topics import BUDGET, INGEST
from nightdesk.streams.stages.ingest import Ingest
from tests.processors.examples import event
from tests.streams.kept.stories.story import CHARTER, Story
from tests.streams.kept.tables import Tables, recover
from tests.streams.stages.stage_harness import Bench, Clock, audited, in_force, said


def _ingest() -> Bench:
    return Bench(Ingest(in_force(CHARTER), Clock()))


async def _six_events_came() -> Bench:
    bench = _ingest()
    for number in range(6):
        await bench.take(INGEST, event().model_copy(update={"id": f"e-{number}"}), offset=number)
    return bench


async def _they_come_again(tables: Tables) -> None:
    clock = Clock()
    bench = recover(Bench(Ingest(in_force(CHARTER), clock)), tables)
    last, one_more = (event().model_copy(update={"id": f"e-{number}"}) for number in (4, 5))
    assert said(await bench.take(INGEST, last, offset=4), BUDGET, BudgetEntry), "the same record is done again"
    [duplicate] = audited(await bench.take(INGEST, last, offset=9))
    assert "came before" in duplicate.reason
    clock.forward(3600)
    assert [entry.case for entry in said(await bench.take(INGEST, one_more, offset=10), BUDGET, BudgetEntry)] == []
    [gone_on] = said(bench.tick(), BUDGET, BudgetEntry)
    assert gone_on.case is not None
    assert gone_on.case.event.id == "e-5"


STORIES = (Story("six events of a subject came, one of them waits", _six_events_came, _they_come_again),)
