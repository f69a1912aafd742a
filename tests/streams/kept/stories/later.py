"""Later: `timers`."""

from schemas.records import Reminder
from schemas.topics import BY_NAME, LATER
from streams.stages.later import Later
from tests.processors.examples import NOW, case
from tests.streams.kept.stories.story import CHARTER, Story
from tests.streams.kept.tables import Tables, recover
from tests.streams.stages.bench import CODEC, TRACE, Bench, Clock


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


STORIES = (Story("timers were set", _timers_were_set, _each_fires_once),)
