"""Later: `timers` and `subject_events`."""

from datetime import timedelta

from nightdesk.schemas.records import CancelCondition, Timer
from nightdesk.schemas.topics import BY_NAME, TIMERS
from nightdesk.streams.stages.timer_records import came
from nightdesk.streams.stages.timers import Timers
from tests.processors.examples import NOW, case, event
from tests.streams.kept.stories.story import CHARTER, Story
from tests.streams.kept.tables import Tables, recover
from tests.streams.stages.stage_harness import CODEC, TRACE, Bench, Clock, audited


def _reminder(number: int, after_s: float) -> Timer:
    return Timer(
        timer_id=f"reminder-{number}",
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
    bench = Bench(Timers(clock))
    for number, after_s in enumerate((60, 3600)):
        await bench.take(TIMERS, _reminder(number, after_s), number)
    clock.forward(60)
    bench.tick()
    return bench


async def _each_fires_once(tables: Tables) -> None:
    clock = Clock()
    bench = recover(Bench(Timers(clock)), tables)
    clock.forward(3599)
    assert bench.tick().messages == []
    clock.forward(1)
    [message] = bench.tick().messages
    assert (message.topic, message.key) == ("t." + BY_NAME["decide"].name, b"t-1")
    for number in range(2):
        assert (await bench.take(TIMERS, _reminder(number, 60))).puts == []


CLOSED = CancelCondition(type="ticket.closed")


def _follow_up(number: int) -> Timer:
    return _reminder(number, 3600).model_copy(update={"cancel_when": (CLOSED,), "since": NOW})


async def _a_follow_up_was_cancelled() -> Bench:
    bench = Bench(Timers(Clock()))
    await bench.take(TIMERS, _follow_up(0))
    closed = event().model_copy(update={"id": "e-9", "type": "ticket.closed"})
    await bench.take(TIMERS, came(closed, NOW + timedelta(seconds=60), CODEC, TRACE), 1)
    return bench


async def _none_of_the_subject_comes(tables: Tables) -> None:
    clock = Clock()
    bench = recover(Bench(Timers(clock)), tables)
    for number in range(2):  # the second was set when the event had come
        [cancelled] = audited(await bench.take(TIMERS, _follow_up(number), 2 + number))
        assert cancelled.kind == "cancelled"
    clock.forward(3600)
    assert bench.tick().messages == []


STORIES = (
    Story("timers were set", _timers_were_set, _each_fires_once),
    Story("a follow-up was cancelled", _a_follow_up_was_cancelled, _none_of_the_subject_comes),
)
