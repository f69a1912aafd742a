"""Permits: `permits`, of the budget stage."""

from schemas.records import Permit, Reminder
from schemas.topics import LATER, PERMITS, PERMITTED
from streams.stages.budget import Budget
from tests.processors.examples import NOW
from tests.streams.kept.stories.story import CHARTER, Story, numbered
from tests.streams.kept.tables import Tables, recover
from tests.streams.stages.bench import Bench, Clock, in_force, said
from tests.streams.stages.world import decision


def _budget() -> Bench:
    return Bench(Budget(in_force(CHARTER), Clock()))


def _permit(number: int) -> Permit:
    """Two an hour, for as many purposes as are needed."""
    return Permit(
        permit_id=f"p-{number}",
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
        await bench.take(PERMITS, _permit(number))
    return bench


async def _the_slots_count(tables: Tables) -> None:
    bench = recover(_budget(), tables)
    [granted] = said(await bench.take(PERMITS, _permit(1)), PERMITTED, Permit)
    assert granted.slot_at == NOW, "the same answer"
    waits = [said(await bench.take(PERMITS, _permit(number)), LATER, Reminder)[0].due_at - NOW for number in (2, 3, 4)]
    assert [round(wait.total_seconds()) for wait in waits] == [3600, 3600, 7200]


STORIES = (Story("leave was given", _leave_was_given, _the_slots_count),)
