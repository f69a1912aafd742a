"""Ingest: `seen` and `subject_rates`."""

from schemas.records import BudgetEntry
from schemas.topics import BUDGET, INGEST
from streams.stages.ingest import Ingest
from tests.processors.examples import event
from tests.streams.kept.stories.story import CHARTER, Story
from tests.streams.kept.tables import Tables, recover
from tests.streams.stages.bench import Bench, Clock, audited, in_force, said


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


STORIES = (Story("five events of a subject came", _five_events_came, _they_come_again),)
