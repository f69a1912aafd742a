"""A case over the limit of its subject waits for its turn: first in, first out, until a greatest age."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.schemas.records import BudgetEntry, Event
from nightdesk.schemas.topics import BUDGET, INGEST
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.metrics import WAITING
from nightdesk.streams.stages import ingest as ingest_stage
from nightdesk.streams.stages import subject_queues
from nightdesk.streams.stages.ingest import Ingest
from tests.effort import examples
from tests.processors.examples import compiled, event
from tests.streams.stages.stage_harness import Bench, Clock, audited, in_force, said, words

TWO_AN_HOUR = ("5/1h", "2/1h")
WAITS_S = 86_400


def _bench(clock: Clock, *changes: tuple[str, str]) -> Bench:
    return Bench(Ingest(in_force(_charter(*changes)), clock))


def _charter(*changes: tuple[str, str]) -> CompiledCharter:
    return compiled(*(changes or (TWO_AN_HOUR,)))


def _event(number: int, subject: str = "t-1") -> Event:
    return event().model_copy(update={"id": f"e-{number}", "subject": subject})


def _gone_on(writes: StagedWrites) -> list[str]:
    """The events whose cases ask for money."""
    return [entry.case.event.id for entry in said(writes, BUDGET, BudgetEntry) if entry.case is not None]


async def _come(bench: Bench, numbers: range, subject: str = "t-1") -> list[str]:
    """The events that go on at once."""
    return [
        one for number in numbers for one in _gone_on(await bench.take(INGEST, _event(number, subject), offset=number))
    ]


async def test_what_is_over_the_limit_waits_and_goes_on_in_order() -> None:
    clock = Clock()
    bench = _bench(clock)
    assert await _come(bench, range(5)) == ["e-0", "e-1"]
    assert _gone_on(bench.tick()) == []
    clock.forward(3600)
    assert _gone_on(bench.tick()) == ["e-2", "e-3"]
    assert _gone_on(bench.tick()) == []
    clock.forward(3600)
    assert _gone_on(bench.tick()) == ["e-4"]
    assert len(bench.tables["waiting"]) == 0


async def test_a_case_that_waits_says_why_and_until_when_and_says_when_it_goes_on() -> None:
    clock = Clock()
    bench = _bench(clock)
    await _come(bench, range(2))
    received, waits = audited(await bench.take(INGEST, _event(2), offset=2))
    assert (received.kind, received.status) == ("received", "running")
    assert (waits.kind, waits.status, waits.case_id) == ("deferred", "deferred", received.case_id)
    assert waits.reason == "more than 2 in 3600 s for this subject: waits for its turn"
    assert (clock() + timedelta(days=1)).isoformat()[:19] in waits.detail
    clock.forward(3600)
    [goes_on] = audited(bench.tick())
    assert (goes_on.kind, goes_on.status, goes_on.case_id) == ("deferred", "running", received.case_id)
    assert goes_on.reason == "its turn came after 3600 s"


async def test_nobody_overtakes_those_who_wait_though_there_is_room() -> None:
    clock = Clock()
    bench = _bench(clock)
    await _come(bench, range(3))
    clock.forward(3600)
    assert await _come(bench, range(3, 4)) == [], "there is room for two, and one waits already"
    assert _gone_on(bench.tick()) == ["e-2", "e-3"]


async def test_a_newer_charter_without_a_limit_does_not_let_newer_events_overtake() -> None:
    clock = Clock()
    old = _bench(clock)
    await _come(old, range(3))
    control = in_force(_charter(), compiled(("limits: {per_subject: 5/1h}\n", "")))
    bench = Bench(Ingest(control, clock)).inherit(old)
    assert await _come(bench, range(3, 4)) == []
    clock.forward(3600)
    assert _gone_on(bench.tick()) == ["e-2", "e-3"]


async def test_other_subjects_do_not_wait() -> None:
    bench = _bench(Clock())
    await _come(bench, range(4))
    assert await _come(bench, range(4, 6), "t-2") == ["e-4", "e-5"]


async def test_after_the_greatest_age_a_person_gets_the_case() -> None:
    clock = Clock()
    bench = _bench(clock, ("5/1h", "1/1d, wait_at_most: 2h"))
    await _come(bench, range(2))
    clock.forward(7199)
    assert _gone_on(bench.tick()) == []
    clock.forward(1)
    writes = bench.tick()
    [entry] = said(writes, BUDGET, BudgetEntry)
    assert entry.case is not None
    assert entry.case.escalate_because == (
        "it waited for 7200 s for its turn, the most that its charter allows: a person gets it"
    )
    [goes_on] = audited(writes)
    assert (goes_on.status, goes_on.reason) == ("running", entry.case.escalate_because)


async def test_the_same_record_again_waits_once_and_has_the_same_words() -> None:
    clock = Clock()
    bench = _bench(clock)
    await _come(bench, range(2))
    first = await bench.take(INGEST, _event(2), offset=2)
    again = await bench.take(INGEST, _event(2), offset=2)
    assert words(again) == words(first)
    clock.forward(3600)
    assert _gone_on(bench.tick()) == ["e-2"]
    later = await bench.take(INGEST, _event(2), offset=2)
    assert words(later) == words(first)
    assert _gone_on(bench.tick()) == []


async def test_a_case_that_waits_is_taken_so_the_same_event_at_another_place_is_a_duplicate() -> None:
    clock = Clock()
    bench = _bench(clock)
    await _come(bench, range(3))
    [ignored] = audited(await bench.take(INGEST, _event(2), offset=9))
    assert (ignored.kind, ignored.reason) == ("ignored", "an event with this source, id and subject came before")
    clock.forward(3600)
    assert _gone_on(bench.tick()) == ["e-2"]


async def test_a_process_that_dies_lets_the_same_case_go_on_again_and_no_other() -> None:
    clock = Clock()
    dead = _bench(clock)
    await _come(dead, range(5))
    clock.forward(3600)
    first = dead.tick(dies=True)
    bench = _bench(clock).inherit(dead)
    again = bench.tick()
    assert _gone_on(first) == _gone_on(again) == ["e-2", "e-3"]
    assert [line.record_id for line in audited(first)] == [line.record_id for line in audited(again)]
    assert _gone_on(bench.tick()) == []


async def test_a_clock_that_was_ahead_keeps_a_waiting_case_for_one_period_at_most() -> None:
    clock = Clock()
    bench = _bench(clock)
    clock.forward(20 * 3600)
    await _come(bench, range(3))
    bench.tick()
    clock.forward(-20 * 3600)
    assert _gone_on(bench.tick()) == []
    clock.forward(3600)
    assert _gone_on(bench.tick()) == ["e-2"]


async def test_a_case_that_goes_on_leaves_its_room_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject_queues, "BYTES_AT_MOST", 1)
    clock = Clock()
    bench = _bench(clock)
    for hour in range(3):
        first = 3 * hour
        assert await _come(bench, range(first, first + 2)) == [f"e-{first}", f"e-{first + 1}"]
        [_, waits] = audited(await bench.take(INGEST, _event(first + 2), offset=first + 2))
        assert waits.status == "deferred"
        clock.forward(3600)
        assert _gone_on(bench.tick()) == [f"e-{first + 2}"]
        clock.forward(3600)


@pytest.mark.parametrize(("name", "at_most"), [("CASES_AT_MOST", 3), ("BYTES_AT_MOST", 100)])
async def test_a_queue_has_a_bound_beyond_which_a_case_is_refused_with_its_place(
    monkeypatch: pytest.MonkeyPatch, name: str, at_most: int
) -> None:
    monkeypatch.setattr(subject_queues, name, at_most)
    bench = _bench(Clock())
    await _come(bench, range(5))
    refused = [line for line in audited(await bench.take(INGEST, _event(5), offset=5)) if line.kind == "refused"]
    assert len(refused) == 1
    assert '"offset":5' in refused[0].detail
    assert "of its cases wait" in refused[0].reason


async def test_only_so_many_go_on_with_one_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject_queues, "RELEASED_A_TICK", 2)
    clock = Clock()
    bench = _bench(clock, ("5/1h", "5/1h"))
    await _come(bench, range(10))
    clock.forward(3600)
    assert [_gone_on(bench.tick()) for _ in range(4)] == [["e-5", "e-6"], ["e-7", "e-8"], ["e-9"], []]


async def test_how_many_wait_is_a_metric_that_a_new_process_counts_again() -> None:
    clock = Clock()
    dead = _bench(clock)
    await _come(dead, range(5))
    waiting = WAITING.labels(stage="ingest", agent="desk", cause="per_subject")
    assert waiting._value.get() == 3
    bench = _bench(clock).inherit(dead)
    assert waiting._value.get() == 3
    clock.forward(3600)
    bench.tick()
    assert waiting._value.get() == 1


STEPS = st.lists(
    st.tuples(st.sampled_from(["comes", "comes", "comes_again", "time", "dies"]), st.integers(1, 2000)), max_size=30
)


class Night:
    """Events come, time passes and processes die; what goes on is noted with its time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.control = in_force(_charter(("5/1h", "2/1h, wait_at_most: 3650d")))
        self.bench = Bench(Ingest(self.control, self.clock))
        self.came: list[Event] = []
        self.gone_on: dict[str, list[float]] = {}

    async def comes(self, number: int) -> None:
        self.came.append(_event(len(self.came), f"t-{number % 2}"))
        self._note(await self.bench.take(INGEST, self.came[-1], offset=len(self.came) - 1))

    async def comes_again(self, number: int) -> None:
        if self.came:
            offset = number % len(self.came)
            again = _gone_on(await self.bench.take(INGEST, self.came[offset], offset=offset))
            assert set(again) <= set(self.gone_on), "what comes again causes nothing new"

    async def time(self, seconds: int) -> None:
        self.clock.forward(seconds)
        self._note(self.bench.tick())

    async def dies(self, number: int) -> None:
        self._note(self.bench.tick(dies=bool(number % 2)))
        self.bench = Bench(Ingest(self.control, self.clock)).inherit(self.bench)

    def _note(self, writes: StagedWrites) -> None:
        for one in _gone_on(writes):
            self.gone_on.setdefault(one, []).append(self.clock().timestamp())


@settings(max_examples=examples(50))
@given(STEPS)
async def test_whatever_happens_each_case_goes_on_once_in_order_and_within_the_rate(
    steps: list[tuple[str, int]],
) -> None:
    night = Night()
    for what, number in steps:
        await getattr(night, what)(number)
    for _ in night.came:
        await night.time(3600)
    assert night.gone_on.keys() == {one.id for one in night.came}
    for subject in ("t-0", "t-1"):
        times = [night.gone_on[one.id][0] for one in night.came if one.subject == subject]
        assert times == sorted(times)
        for start in times:
            assert sum(start <= at < start + 3600 for at in times) <= 2
    assert len(night.bench.tables["waiting"]) == 0


async def test_an_admission_writes_one_small_entry_however_many_came_before() -> None:
    bench = _bench(Clock(), ("5/1h", "100000/1h"))
    sizes = []
    for number in range(300):
        writes = await bench.take(INGEST, _event(number), offset=number)
        [entry] = [put for put in writes.puts if put.store is bench.tables["subject_rates"]]
        sizes.append(len(entry.key) + len(entry.value or b""))
    assert max(sizes) <= 100
    assert max(sizes) - min(sizes) <= 2, "the first as much as the last"


async def test_what_is_over_leaves_the_table_and_the_memory() -> None:
    clock = Clock()
    bench = _bench(clock)
    await _come(bench, range(2))
    ingest = bench.stage
    assert isinstance(ingest, Ingest)
    clock.forward(3600)
    bench.tick()
    assert len(bench.tables["subject_rates"]) == 0
    assert not ingest._queues._rates._logs


async def test_an_event_whose_handling_fails_takes_nobody_s_place(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = _bench(Clock(), ("5/1h", "1/1h"))
    with monkeypatch.context() as broken:
        broken.setattr(ingest_stage, "tell_others", _fails)
        with pytest.raises(RuntimeError):
            await bench.take(INGEST, _event(0), offset=0)
    assert await _come(bench, range(1, 3)) == ["e-1"]


def _fails(*_: object) -> None:
    raise RuntimeError("a fault of the stage")


async def test_a_clock_that_was_ahead_counts_from_when_it_was_right_again_also_after_a_restart() -> None:
    clock = Clock()
    bench = _bench(clock, ("5/1h", "1/1h"))
    clock.forward(30 * 86_400)
    assert await _come(bench, range(1)) == ["e-0"]
    clock.forward(-30 * 86_400)
    assert await _come(bench, range(1, 2)) == []
    clock.forward(1800)
    bench = _bench(clock, ("5/1h", "1/1h")).inherit(bench)
    assert await _come(bench, range(2, 3)) == []
    clock.forward(1800)
    assert _gone_on(bench.tick()) == ["e-1"]
