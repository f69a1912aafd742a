"""Reminders are said when they are due, once."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Case, Reminder
from schemas.topics import DECIDE, LATER
from streams.stages.later import FIRED_A_TURN, FIRED_FOR_S, Later, UnknownTopic
from tests.processors.examples import NOW, case, compiled
from tests.streams.stages.bench import CODEC, TRACE, Bench, Clock, said

CASE = case(compiled())


def _reminder(number: int = 0, after_s: float = 60.0, topic: str = "decide") -> Reminder:
    return Reminder(
        reminder_id=f"r-{number}",
        subject="t-1",
        due_at=NOW + timedelta(seconds=after_s),
        topic=topic,
        key="t-1",
        value=CODEC.encode(CASE),
        traceparent=TRACE,
        reason="wait",
    )


async def test_a_reminder_is_said_when_it_is_due_and_not_before() -> None:
    clock = Clock()
    bench = Bench(Later(clock))
    await bench.take(LATER, _reminder())
    clock.forward(59.9)
    assert bench.tick().messages == []
    clock.forward(0.1)
    changes = bench.tick()
    assert said(changes, DECIDE, Case) == [CASE]
    [message] = changes.messages
    assert (message.key, message.headers) == (b"t-1", (("traceparent", TRACE.encode()),))
    clock.forward(3600)
    assert bench.tick().messages == []


async def test_each_reminder_is_said_with_its_own_trace() -> None:
    clock = Clock()
    bench = Bench(Later(clock))
    for number in range(2):
        await bench.take(
            LATER, _reminder(number).model_copy(update={"traceparent": TRACE.replace("-01", f"-0{number}")})
        )
    clock.forward(60)
    traces = [dict(message.headers)["traceparent"] for message in bench.tick().messages]
    assert traces == [TRACE.replace("-01", f"-0{number}").encode() for number in range(2)]


@pytest.mark.parametrize("fired", [False, True])
async def test_the_same_reminder_again_changes_nothing(fired: bool) -> None:
    clock = Clock()
    bench = Bench(Later(clock))
    await bench.take(LATER, _reminder())
    if fired:
        clock.forward(60)
        bench.tick()
    again = await bench.take(LATER, _reminder(), offset=5)
    assert (again.puts, again.messages) == ([], [])
    clock.forward(3600)
    assert len(bench.tick().messages) == (0 if fired else 1)


@given(st.lists(st.floats(0, 1000), max_size=30), st.floats(0, 1000))
async def test_a_new_process_says_exactly_what_is_not_yet_said(after: list[float], crash_at: float) -> None:
    clock = Clock()
    dead = Bench(Later(clock))
    for number, after_s in enumerate(after):
        await dead.take(LATER, _reminder(number, after_s), number)
    clock.forward(crash_at)
    before = dead.tick().messages
    alive = Bench(Later(clock)).inherit(dead)
    clock.forward(2000)
    assert len(before) + len(alive.tick().messages) == len(after)


async def test_a_process_that_dies_before_its_words_are_durable_leaves_them_to_the_next() -> None:
    clock = Clock()
    dead = Bench(Later(clock))
    await dead.take(LATER, _reminder())
    clock.forward(60)
    assert len(dead.tick(dies=True).messages) == 1
    alive = Bench(Later(clock)).inherit(dead)
    assert len(alive.tick().messages) == 1


async def test_a_thousand_that_are_due_at_once_do_not_hold_up_the_partition() -> None:
    clock = Clock()
    bench = Bench(Later(clock))
    for number in range(FIRED_A_TURN + 1):
        await bench.take(LATER, _reminder(number), number)
    clock.forward(60)
    assert [len(bench.tick().messages) for _ in range(3)] == [FIRED_A_TURN, 1, 0]


async def test_what_was_said_is_forgotten_after_a_day() -> None:
    clock = Clock()
    bench = Bench(Later(clock))
    await bench.take(LATER, _reminder())
    clock.forward(60)
    bench.tick()
    clock.forward(FIRED_FOR_S + 1)
    bench.tick()
    assert len(bench.tables["timers"]) == 0


async def test_a_reminder_for_a_topic_that_is_not_ours_is_refused() -> None:
    with pytest.raises(UnknownTopic, match="their-topic"):
        await Bench(Later(Clock())).take(LATER, _reminder(topic="their-topic"))
