"""Permits: `permits`, of the budget stage."""

from nightdesk.schemas.records import RateRequest, Timer
from nightdesk.schemas.topics import RATE_GRANTS, RATE_REQUESTS, TIMERS
from nightdesk.streams.stages.budget import Budget
from tests.processors.examples import NOW
from tests.streams.kept.stories.story import CHARTER, Story, numbered
from tests.streams.kept.tables import Tables, recover
from tests.streams.stages.stage_harness import Bench, Clock, in_force, said
from tests.streams.stages.world import decision


def _budget() -> Bench:
    return Bench(Budget(in_force(CHARTER), Clock()))


def _permit(number: int) -> RateRequest:
    """Two an hour, for as many purposes as are needed."""
    return RateRequest(
        request_id=f"p-{number}",
        limit="connection desk",
        count=2,
        per_seconds=3600,
        purpose=f"step-{number}",
        number=1,
        decision=decision(numbered(number), text="tomorrow"),
        time=NOW,
    )


async def _leave_was_given() -> Bench:
    bench = _budget()
    for number in range(3):
        await bench.take(RATE_REQUESTS, _permit(number))
    return bench


async def _the_slots_count(tables: Tables) -> None:
    bench = recover(_budget(), tables)
    [granted] = said(await bench.take(RATE_REQUESTS, _permit(1)), RATE_GRANTS, RateRequest)
    assert granted.slot_at == NOW, "the same answer"
    waits = [
        said(await bench.take(RATE_REQUESTS, _permit(number)), TIMERS, Timer)[0].due_at - NOW for number in (2, 3, 4)
    ]
    assert [round(wait.total_seconds()) for wait in waits] == [3600, 3600, 7200]


STORIES = (Story("leave was given", _leave_was_given, _the_slots_count),)
