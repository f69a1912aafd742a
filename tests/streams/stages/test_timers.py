"""A timer's record is emitted when it is due, once."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors.provenance import Forged
from nightdesk.schemas.codec import HEADER, Codec, UnknownSchema
from nightdesk.schemas.records import CancelCondition, Case, Event, Timer
from nightdesk.schemas.topics import BY_NAME, DECIDE, INGEST, RECORDS, TIMERS
from nightdesk.streams.api import Delivery
from nightdesk.streams.in_memory import InMemoryStage
from nightdesk.streams.stages.timer_records import came
from nightdesk.streams.stages.timers import FIRED_A_TICK, FIRED_FOR_S, TIMED_TOPICS, Timers
from tests.processors.examples import NOW, case, compiled, event
from tests.streams.stages.stage_harness import CODEC, TRACE, Bench, Clock, audited, said, words

CASE = case(compiled())


def _reminder(number: int = 0, after_s: float = 60.0, topic: str = "decide") -> Timer:
    return Timer(
        timer_id=f"r-{number}",
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
    bench = Bench(Timers(clock))
    await bench.take(TIMERS, _reminder())
    clock.forward(59.9)
    assert bench.tick().messages == []
    clock.forward(0.1)
    writes = bench.tick()
    assert said(writes, DECIDE, Case) == [CASE]
    [message] = writes.messages
    assert (message.key, message.headers) == (b"t-1", (("traceparent", TRACE.encode()),))
    clock.forward(3600)
    assert bench.tick().messages == []


async def test_nothing_is_due_while_the_clock_disagrees_with_the_brokers() -> None:
    """A clock that is days ahead for a moment would fire follow-ups of the next week, and nobody could take them
    back.
    """
    clock = Clock()
    bench = Bench(Timers(clock))
    await bench.take(TIMERS, _reminder())
    clock.forward(7 * 86_400)
    writes = bench.stage_writes(0)
    bench.stage.advance(0, writes, may_expire=False)
    assert writes.messages == []
    clock.forward(-7 * 86_400)
    assert bench.tick().messages == []
    clock.forward(60)
    assert said(bench.tick(), DECIDE, Case) == [CASE]


async def test_each_reminder_is_said_with_its_own_trace() -> None:
    clock = Clock()
    bench = Bench(Timers(clock))
    for number in range(2):
        await bench.take(
            TIMERS, _reminder(number).model_copy(update={"traceparent": TRACE.replace("-01", f"-0{number}")})
        )
    clock.forward(60)
    traces = [dict(message.headers)["traceparent"] for message in bench.tick().messages]
    assert traces == [TRACE.replace("-01", f"-0{number}").encode() for number in range(2)]


@pytest.mark.parametrize("fired", [False, True])
async def test_the_same_reminder_again_changes_nothing(fired: bool) -> None:
    clock = Clock()
    bench = Bench(Timers(clock))
    await bench.take(TIMERS, _reminder())
    if fired:
        clock.forward(60)
        bench.tick()
    again = await bench.take(TIMERS, _reminder(), offset=5)
    assert (again.puts, again.messages) == ([], [])
    clock.forward(3600)
    assert len(bench.tick().messages) == (0 if fired else 1)


@given(st.lists(st.floats(0, 1000), max_size=30), st.floats(0, 1000))
async def test_a_new_process_says_exactly_what_is_not_yet_said(after: list[float], crash_at: float) -> None:
    clock = Clock()
    dead = Bench(Timers(clock))
    for number, after_s in enumerate(after):
        await dead.take(TIMERS, _reminder(number, after_s), number)
    clock.forward(crash_at)
    before = dead.tick().messages
    alive = Bench(Timers(clock)).inherit(dead)
    clock.forward(2000)
    assert len(before) + len(alive.tick().messages) == len(after)


async def test_a_process_that_dies_before_its_words_are_durable_leaves_them_to_the_next() -> None:
    clock = Clock()
    dead = Bench(Timers(clock))
    await dead.take(TIMERS, _reminder())
    clock.forward(60)
    assert len(dead.tick(dies=True).messages) == 1
    alive = Bench(Timers(clock)).inherit(dead)
    assert len(alive.tick().messages) == 1


async def test_a_thousand_that_are_due_at_once_do_not_hold_up_the_partition() -> None:
    clock = Clock()
    bench = Bench(Timers(clock))
    for number in range(FIRED_A_TICK + 1):
        await bench.take(TIMERS, _reminder(number), number)
    clock.forward(60)
    assert [len(bench.tick().messages) for _ in range(3)] == [FIRED_A_TICK, 1, 0]


async def test_what_was_said_is_forgotten_after_a_day() -> None:
    clock = Clock()
    bench = Bench(Timers(clock))
    await bench.take(TIMERS, _reminder())
    clock.forward(60)
    bench.tick()
    clock.forward(FIRED_FOR_S + 1)
    bench.tick()
    assert len(bench.tables["timers"]) == 0


@pytest.mark.parametrize("topic", ["their-topic", "", *sorted(BY_NAME.keys() - TIMED_TOPICS)])
async def test_a_timer_for_a_topic_for_which_no_stage_sets_timers_is_refused(topic: str) -> None:
    clock = Clock()
    bench = Bench(Timers(clock))
    with pytest.raises(Forged, match=f"no stage sets timers for '{topic}'"):
        await bench.take(TIMERS, _reminder(topic=topic))
    clock.forward(3600)
    assert bench.tick().messages == []


def test_what_moves_things_without_being_checked_has_no_timers() -> None:
    assert not TIMED_TOPICS & {"control", "audit", "timers", "approvals", "forgotten", "workers", "rate-requests"}


# -- cancelled by an event of the subject, or by a person

CLOSED = CancelCondition(type="ticket.closed", when='event.data.by == "agent"')
DUE_S = 48 * 3600


def _follow_up(number: int = 0, **fields: Any) -> Timer:
    given = {"topic": "ingest", "value": CODEC.encode(event()), "cancel_when": (CLOSED,), "since": NOW, **fields}
    return _reminder(number, DUE_S).model_copy(update=given)


def _closed(by: str = "agent", after_s: float = 60.0, **fields: Any) -> Timer:
    about = {"id": "closed-1", "type": "ticket.closed", "data": orjson.dumps({"by": by}).decode(), **fields}
    one = event().model_copy(update=about)
    return came(one, NOW + timedelta(seconds=after_s), CODEC, TRACE)


def _cancel(**fields: Any) -> Timer:
    given = {"kind": "cancel", "person": "ada", "reason": "closed by phone", "value": b"", **fields}
    return _follow_up().model_copy(update=given)


async def test_an_event_of_the_subject_cancels_a_follow_up_once() -> None:
    clock = Clock()
    bench = Bench(Timers(clock))
    await bench.take(TIMERS, _follow_up())
    writes = await bench.take(TIMERS, _closed(), 1)
    [cancelled] = audited(writes)
    assert (cancelled.kind, cancelled.case_id, cancelled.subject) == ("cancelled", None, "t-1")
    assert cancelled.reason == "cancelled by event closed-1: wait"
    assert words(await bench.take(TIMERS, _closed(), 1)) == words(writes), "the same record again"
    assert words(await bench.take(TIMERS, _follow_up())) == words(writes), "the timer again"
    clock.forward(DUE_S)
    assert bench.tick().messages == []


@pytest.mark.parametrize(
    "closed",
    [
        _closed("customer"),
        _closed(type="ticket.created"),
        _closed(subject="t-2"),
        _closed(after_s=0.0),
        _closed(data="{}"),
    ],
    ids=["when", "type", "subject", "before the case", "when fails"],
)
async def test_another_event_does_not(closed: Timer) -> None:
    clock = Clock()
    bench = Bench(Timers(clock))
    await bench.take(TIMERS, _follow_up())
    assert (await bench.take(TIMERS, closed, 1)).messages == []
    clock.forward(DUE_S)
    assert len(said(bench.tick(), INGEST, Event)) == 1


async def test_an_event_that_came_before_the_timer_and_after_the_case_cancels_it_too() -> None:
    clock = Clock()
    bench = Bench(Timers(clock))
    await bench.take(TIMERS, _closed(), 1)
    bench = Bench(Timers(clock)).inherit(bench)
    [cancelled] = audited(await bench.take(TIMERS, _follow_up(), 2))
    assert cancelled.kind == "cancelled"
    clock.forward(DUE_S)
    assert bench.tick().messages == []


async def test_an_event_of_another_subject_than_its_record_is_refused() -> None:
    with pytest.raises(ValueError, match="no event of"):
        await Bench(Timers(Clock())).take(TIMERS, _closed(subject="t-2").model_copy(update={"subject": "t-1"}))


async def test_the_registry_is_asked_for_the_schema_of_an_event_off_the_loop() -> None:
    asked: list[int] = []

    def fetch(schema_id: int) -> dict[str, Any]:
        asked.append(threading.get_ident())
        raise UnknownSchema(f"schema {schema_id} is not one of ours")

    codec = Codec({record: number for number, record in enumerate(RECORDS, start=1)}, fetch)
    bench = InMemoryStage(Timers(Clock()), codec, partitions=(0,))
    foreign = _closed().model_copy(update={"value": HEADER.pack(0, 99) + b"an event of others"})
    with pytest.raises(UnknownSchema):
        await bench.handle(Delivery(foreign, TIMERS, 0, 0, TRACE))
    assert len(asked) == 1
    assert threading.get_ident() not in asked


async def test_a_person_cancels_a_follow_up() -> None:
    clock = Clock()
    bench = Bench(Timers(clock))
    await bench.take(TIMERS, _follow_up())
    writes = await bench.take(TIMERS, _cancel(), 1)
    assert [(record.kind, record.reason) for record in audited(writes)] == [
        ("cancelled", "cancelled by ada (claimed): closed by phone")
    ]
    assert words(await bench.take(TIMERS, _cancel(), 1)) == words(writes), "the same record again"
    clock.forward(DUE_S)
    assert bench.tick().messages == []


@pytest.mark.parametrize(
    "order", [_cancel(timer_id="r-9"), _cancel(subject="t-2"), _cancel(timer_id="r-1")], ids=["id", "subject", "a case"]
)
async def test_a_person_cancels_nothing_else(order: Timer) -> None:
    clock = Clock()
    bench = Bench(Timers(clock))
    await bench.take(TIMERS, _follow_up())
    await bench.take(TIMERS, _reminder(1, DUE_S), 1)
    [void] = audited(await bench.take(TIMERS, order, 2))
    assert (void.kind, void.status) == ("ignored", "ignored")
    clock.forward(DUE_S)
    assert len(bench.tick().messages) == 2


@given(
    st.lists(st.sampled_from(["set", "close", "other", "restart", "again"]), min_size=1, max_size=12),
    st.booleans(),
)
def test_in_any_order_a_follow_up_comes_or_is_cancelled_and_never_both(moves: list[str], closes: bool) -> None:
    asyncio.run(_in_any_order(moves, closes))


async def _in_any_order(moves: list[str], closes: bool) -> None:
    clock, cancelled, last = Clock(), set[str](), _follow_up()
    bench = Bench(Timers(clock))
    records = {
        "set": _follow_up(),
        "close": _closed("agent" if closes else "customer"),
        "other": _closed(id="other", data="[]"),
    }
    for offset, move in enumerate(moves):
        clock.forward(1)
        if move == "restart":
            bench = Bench(Timers(clock)).inherit(bench)
            continue
        last = records.get(move, last)
        cancelled |= {record.record_id for record in audited(await bench.take(TIMERS, last, offset))}
    clock.forward(DUE_S)
    fired = len(said(bench.tick(), INGEST, Event))
    assert fired + len(cancelled) <= 1
    if "set" in moves:
        assert len(cancelled) == int(closes and "close" in moves)
        assert fired == 1 - len(cancelled)
