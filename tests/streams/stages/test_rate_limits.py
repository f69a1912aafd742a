"""The limits of actions and connections are exact over all partitions, whatever dies, and nothing that waits is
lost.
"""

import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from nightdesk.processors.charter import CompiledCharter
from nightdesk.processors.execution.policy import GRANT_VALID_AT_LEAST_S
from nightdesk.processors.playbook import RunStep, StepResult
from nightdesk.processors.quantities import LONGEST_S, Rate
from nightdesk.schemas.records import AuditRecord, Decision, RateRequest, Record, Timer
from nightdesk.schemas.topics import ACT, AUDIT, BY_NAME, RATE_GRANTS, RATE_REQUESTS, TIMERS
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.budget import Budget
from tests.processors.examples import NOW, case, compiled, event
from tests.streams.stages.stage_harness import CODEC, Bench, Clock, Crash, Step, in_force, said, words
from tests.streams.stages.world import AWAY, World, decision

HOUR = Rate(count=3, per_seconds=3600)
SECOND = Rate(count=2, per_seconds=1)
LIMITED = compiled(("limits: {per_subject: 5/1h}", "limits: {actions: {respond: 3/1h}}"))
FREE = compiled()


def _answer(number: int, charter: CompiledCharter = LIMITED) -> Decision:
    other = event().model_copy(update={"id": f"e-{number}", "subject": f"t-{number}"})
    return decision(case(charter, other), text="tomorrow")


class Timed(World):
    """Records when each call was made."""

    def __init__(self, clock: Clock, **answers: list[StepResult]) -> None:
        super().__init__(**answers)  # type: ignore[arg-type]  # only answers are given here
        self.clock = clock
        self.at: list[tuple[str, float]] = []

    async def perform(self, compiled: CompiledCharter, step: RunStep, subject: str, traceparent: str) -> StepResult:
        self.at.append((step.handler, self.clock.now.timestamp()))
        return await super().perform(compiled, step, subject, traceparent)

    def times(self, handler: str) -> list[float]:
        return [at for name, at in self.at if name == handler]


@dataclass
class Line:
    """Act, the writer of the grants and the timers, with records between them; `faults` says when one dies or
    repeats.
    """

    world: World
    clock: Clock
    faults: random.Random | None = None
    offset: int = 0
    waiting: list[tuple[float, str, Record]] = field(default_factory=list)
    audit: list[AuditRecord] = field(default_factory=list)
    log: deque[tuple[str, Record]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.benches = {ACT.name: self._act(None), RATE_REQUESTS.name: self._budget(None)}

    def _act(self, crash_after: int | None) -> Bench:
        return Bench(Act(in_force(LIMITED, FREE), self.world, self.clock), Step(crash_after))

    def _budget(self, crash_after: int | None) -> Bench:
        return Bench(Budget(in_force(LIMITED, FREE), self.clock))

    async def take(self, topic: str, record: Record) -> None:
        """Deliver the record and everything that it causes at once."""
        self.log.append((topic, record))
        while self.log:
            topic, record = self.log.popleft()
            name = ACT.name if topic == RATE_GRANTS.name else topic
            self.offset += 1
            if self.faults is None:
                self._done(await self.benches[name].take(BY_NAME[topic], record, self.offset))
            else:
                await self._take_badly(name, topic, record, self.faults)

    async def _take_badly(self, name: str, topic: str, record: Record, faults: random.Random) -> None:
        """Die in the middle of it, or two processes read it, or all goes well."""
        make: Callable[[int | None], Bench] = self._act if name == ACT.name else self._budget
        if faults.random() < 0.3:
            dying = make(1).inherit(self.benches[name])
            with suppress(Crash):  # and the record comes again
                self._done(await dying.take(BY_NAME[topic], record, self.offset))
            self.benches[name] = make(None).inherit(dying)
        for _ in range(faults.choice((1, 1, 2))):
            self._done(await self.benches[name].take(BY_NAME[topic], record, self.offset))

    def _done(self, writes: StagedWrites) -> None:
        self.audit += said(writes, AUDIT, AuditRecord)
        for topic, record in words(writes):
            short = topic.removeprefix("t.")
            if short in (RATE_REQUESTS.name, RATE_GRANTS.name):
                self.log.append((short, record))
            elif isinstance(record, Timer):
                due = CODEC.decode(BY_NAME[record.topic].record, record.value)
                entry = (record.due_at.timestamp(), record.topic, due)
                if entry not in self.waiting:
                    self.waiting.append(entry)

    async def until(self, seconds: float) -> None:
        end = self.clock.now.timestamp() + seconds
        while self.waiting and (first := min(self.waiting, key=lambda entry: entry[0]))[0] <= end:
            self.waiting.remove(first)
            self.clock.forward(max(0.0, first[0] - self.clock.now.timestamp()))
            await self.take(first[1], first[2])
        self.clock.forward(max(0.0, end - self.clock.now.timestamp()))

    @property
    def ends(self) -> dict[str | None, str]:
        return {record.decision_id: record.status for record in self.audit if record.kind == "acted"}


def _most_in_a_period(times: list[float], rate: Rate) -> int:
    return max(sum(start <= at < start + rate.per_seconds for at in times) for start in times)


async def test_an_action_waits_for_its_turn_and_comes_in_order() -> None:
    clock = Clock()
    world = Timed(clock)
    line = Line(world, clock)
    for number in range(10):
        await line.take(ACT.name, _answer(number))
    assert len(world.times("send")) == HOUR.count
    [first] = [record for record in line.audit if record.subject == "t-3"]
    assert (first.kind, first.status) == ("queued", "waiting")
    assert first.reason == "waits for a slot under desk/respond: 3 in 3600 s"
    await line.until(4 * 3600)
    assert _most_in_a_period(world.times("send"), HOUR) == HOUR.count
    assert list(line.ends.values()) == ["completed"] * 10
    assert [record.subject for record in line.audit if record.kind == "acted"] == [f"t-{n}" for n in range(10)]


async def test_a_limit_of_a_connection_counts_every_call() -> None:
    clock = Clock()
    world = Timed(clock, send=[AWAY])
    world.rates = {"send": SECOND}
    line = Line(world, clock)
    for number in range(9):
        await line.take(ACT.name, _answer(number, FREE))
    await line.until(60)
    assert len(world.times("send")) == 10, "one of them twice"
    assert _most_in_a_period(world.times("send"), SECOND) == SECOND.count
    assert set(line.ends.values()) == {"completed"}


@pytest.mark.parametrize("seed", range(6))
async def test_no_crash_and_no_repetition_gets_past_a_limit(seed: int) -> None:
    clock = Clock()
    world = Timed(clock)
    world.rates = {"send": SECOND}
    line = Line(world, clock, random.Random(seed))
    for number in range(5):
        await line.take(ACT.name, _answer(number))
    await line.until(8 * 3600)
    assert len(line.ends) == 5, f"seed {seed}"
    assert _most_in_a_period(world.times("send"), SECOND) <= SECOND.count, f"seed {seed}"
    # By its key a call that is made again is the same action.
    calls = reversed(list(zip(world.calls, world.at, strict=True)))
    firsts = {key: at for (name, key), (_, at) in calls if name == "send"}
    assert len(firsts) == 5
    # Leave was given by the hour; the other limit may hold the call up for a moment after that.
    period = Rate(count=HOUR.count, per_seconds=HOUR.per_seconds - GRANT_VALID_AT_LEAST_S)
    assert _most_in_a_period(list(firsts.values()), period) <= HOUR.count, f"seed {seed}"


async def test_an_action_without_a_limit_asks_nobody() -> None:
    line = Line(World(), Clock())
    writes = await line.benches[ACT.name].take(ACT, _answer(1, FREE))
    assert said(writes, RATE_REQUESTS, RateRequest) == []


async def test_a_permit_that_was_not_used_in_time_is_asked_for_again() -> None:
    clock = Clock()
    bench = Bench(Act(in_force(FREE), world := World(), clock))
    world.rates = {"send": SECOND}
    [asked] = said(await bench.take(ACT, _answer(1, FREE)), RATE_REQUESTS, RateRequest)
    granted = asked.model_copy(update={"slot_at": clock.now})
    clock.forward(GRANT_VALID_AT_LEAST_S + 1)
    [again] = said(await bench.take(RATE_GRANTS, granted, 1), RATE_REQUESTS, RateRequest)
    assert (again.purpose, again.number, world.calls) == (asked.purpose, 2, [])
    await bench.take(RATE_GRANTS, again.model_copy(update={"slot_at": clock.now}), 2)
    assert world.handlers == ["send", "note"]


async def test_permits_that_come_in_a_heap_are_spaced_again() -> None:
    clock = Clock()
    bench = Bench(Act(in_force(FREE), world := World(), clock))
    world.rates = {"send": SECOND}
    for number in range(10):
        [asked] = said(await bench.take(ACT, _answer(number, FREE), number), RATE_REQUESTS, RateRequest)
        await bench.take(RATE_GRANTS, asked.model_copy(update={"slot_at": clock.now}), 100 + number)
    assert world.handlers.count("send") == 2 * SECOND.count


async def test_a_permit_asked_for_again_gets_the_same_answer_also_from_a_new_process() -> None:
    clock = Clock()
    bench = Bench(Budget(in_force(LIMITED), clock))
    act = Bench(Act(in_force(LIMITED), World(), clock))
    asked = [said(await act.take(ACT, _answer(n), n), RATE_REQUESTS, RateRequest)[0] for n in range(5)]
    first = [words(await bench.take(RATE_REQUESTS, request, n)) for n, request in enumerate(asked)]
    heir = Bench(Budget(in_force(LIMITED), clock)).inherit(bench)
    clock.forward(1800)
    assert [words(await heir.take(RATE_REQUESTS, request, n)) for n, request in enumerate(asked)] == first
    assert [len(said_) for said_ in first] == [1, 1, 1, 2, 2], "a permit at once, or a timer and a line in the audit"


async def test_slots_that_no_period_can_hold_are_forgotten() -> None:
    clock = Clock()
    bench = Bench(Budget(in_force(LIMITED), clock))
    act = Bench(Act(in_force(LIMITED), World(), clock))
    [asked] = said(await act.take(ACT, _answer(1), 1), RATE_REQUESTS, RateRequest)
    await bench.take(RATE_REQUESTS, asked)
    clock.forward(3600)
    bench.tick()
    assert len(bench.tables["slots"]) == 0
    writes = await bench.take(RATE_REQUESTS, asked.model_copy(update={"request_id": "other"}))
    assert len(said(writes, RATE_GRANTS, RateRequest)) == 1
    assert said(writes, TIMERS, Timer) == []


async def test_a_permit_for_one_call_does_not_outlive_a_crash_in_its_midst() -> None:
    class Dies(World):
        async def perform(self, compiled: CompiledCharter, step: RunStep, subject: str, traceparent: str) -> StepResult:
            await super().perform(compiled, step, subject, traceparent)
            raise Crash

    dying = Bench(Act(in_force(FREE), world := Dies(), Clock()))
    world.rates = {"send": SECOND}
    [asked] = said(await dying.take(ACT, _answer(1, FREE)), RATE_REQUESTS, RateRequest)
    granted = asked.model_copy(update={"slot_at": Clock().now})
    with pytest.raises(Crash):
        await dying.take(RATE_GRANTS, granted, 1)
    heir = Bench(Act(in_force(FREE), world, Clock())).inherit(dying)
    [again] = said(await heir.take(RATE_GRANTS, granted, 1), RATE_REQUESTS, RateRequest)
    assert (again.number, world.handlers) == (2, ["send"])


AHEAD_S = 20 * HOUR.per_seconds


async def test_a_clock_that_was_ahead_shuts_no_limit() -> None:
    """Grants are taken while the writer's clock is hours ahead; then it is right again."""
    clock = Clock()
    world = Timed(clock)
    line = Line(world, clock)
    clock.forward(AHEAD_S)
    for number in range(HOUR.count):
        await line.take(ACT.name, _answer(number))
    clock.forward(-AHEAD_S)
    for number in range(HOUR.count, 2 * HOUR.count):
        await line.take(ACT.name, _answer(number))
    await line.until(2 * HOUR.per_seconds)
    assert len(world.times("send")) == 2 * HOUR.count
    heir = Line(world, clock)
    heir.benches[RATE_REQUESTS.name].inherit(line.benches[RATE_REQUESTS.name])
    await heir.take(ACT.name, _answer(99))
    await heir.until(2 * HOUR.per_seconds)
    assert len(world.times("send")) == 2 * HOUR.count + 1


FOREVER = [Rate(count=1, per_seconds=LONGEST_S), Rate.model_construct(count=1, per_seconds=2**62)]


@pytest.mark.parametrize("rate", FOREVER, ids=["the longest", "too long"])
async def test_requests_with_a_period_without_end_shut_no_limit(rate: Rate) -> None:
    """As anybody with write access to `rate-requests` can make them, a thousand of them, over a restart."""
    clock = Clock()
    bench = Bench(Budget(in_force(LIMITED), clock))
    for number in range(1000):
        with suppress(ValueError):
            await bench.take(RATE_REQUESTS, _request(number, rate), number)
    heir = Bench(Budget(in_force(LIMITED), clock)).inherit(bench)
    for other in (bench, heir):
        [granted] = said(await other.take(RATE_REQUESTS, _request(1000, HOUR), 1000), RATE_GRANTS, RateRequest)
        assert granted.slot_at == clock.now


def _request(number: int, rate: Rate) -> RateRequest:
    return RateRequest(
        request_id=f"r-{number}",
        limit="desk/respond",
        count=rate.count,
        per_seconds=rate.per_seconds,
        purpose="a decision",
        number=1,
        decision=_answer(number),
        time=NOW,
    )


async def test_slots_that_were_put_right_are_forgotten_like_others() -> None:
    clock = Clock()
    line = Line(Timed(clock), clock)
    clock.forward(AHEAD_S)
    for number in range(3):
        await line.take(ACT.name, _answer(number))
    clock.forward(-AHEAD_S)
    await line.take(ACT.name, _answer(4))
    await line.until(2 * AHEAD_S)
    budget = line.benches[RATE_REQUESTS.name]
    budget.tick()
    assert len(budget.tables["slots"]) == 0
    assert not any(budget.handlers._rate_limits._slots.values())  # type: ignore[attr-defined]  # what memory holds is what is asked
