"""A payment was cut off. However the worker dies, and however long the other side has the call queued, it is paid once,
or the step is `unknown` and says so.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from random import Random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.execution import ExecutionState
from nightdesk.processors.playbook import RunStep, StepResult
from nightdesk.schemas import ids
from nightdesk.schemas.records import Decision, Timer
from nightdesk.schemas.topics import ACT, TIMERS
from nightdesk.streams.api import SteadyClock
from nightdesk.streams.api.state_store import Put
from nightdesk.streams.stages.act import Act
from tests.effort import examples
from tests.processors.examples import NOW, case, compiled
from tests.schemas.details import outcomes_of
from tests.streams.stages.stage_harness import (
    CODEC,
    PARTITION,
    Bench,
    Clock,
    Crash,
    Step,
    audited,
    in_force,
    order,
    said,
)
from tests.streams.stages.world import World, decision

SETTLES_S = 120
QUEUED_S = 45
PAY = "pay: {type: http, connection: desk, path: /refunds}"
ASKED = "pay: {type: http, connection: desk, path: /refunds, idempotent: none, reconcile: '/refunds/{idempotency_key}'"
NEVER = ("approval: always", "approval: never")
CHARTER = compiled(NEVER, (PAY, f"{ASKED}, settles_within: {SETTLES_S}s}}"))
NO_TIME = compiled(NEVER, (PAY, f"{ASKED}}}"))
# Compiled once: many processes are made here. Nobody gives them orders.
CONTROLS = {charter.version: in_force(charter) for charter in (CHARTER, NO_TIME)}


class Bank(World):
    """Pays `queued_s` after a call, and can be asked. The answers of its first `lost` calls are lost."""

    def __init__(self, clock: Clock, queued_s: float = 0.0, lost: int = 0, asked: Iterable[StepResult] = ()) -> None:
        super().__init__(once=("pay",), retries=3)
        self._clock = clock
        self._queued_s = queued_s
        self._lost = lost
        self._asked = list(asked)
        self.due: list[tuple[str, datetime]] = []
        self.questions = 0
        self.dies = False

    def now(self) -> datetime:
        return self._clock()

    def paid(self) -> list[str]:
        return [key for key, at in self.due if at <= self._clock()]

    async def perform(self, compiled: CompiledCharter, step: RunStep, subject: str, traceparent: str) -> StepResult:
        if step.begun:
            self.questions += 1
            if self._asked:
                return self._asked.pop(0)
            if step.step_id in self.paid():
                return StepResult("done", '{"paid":true}', answered=True)
            return StepResult("unknown", error="404", answered=True, absent=True)
        self.due.append((step.step_id, self._clock() + timedelta(seconds=self._queued_s)))
        if self.dies:
            raise Crash
        if self._lost:
            self._lost -= 1
            return StepResult("unknown", error="no answer", retryable=True, answered=False)
        return StepResult("done", '{"paid":true}', answered=True)


def _steady(bank: Bank, process: str) -> SteadyClock:
    """It counts real seconds, whatever the worker's clock says."""
    return SteadyClock(process, lambda: bank.now().timestamp())


def _bench(
    bank: Bank,
    clock: Callable[[], datetime],
    charter: CompiledCharter = CHARTER,
    crash_after: int | None = None,
    process: str = "w",
) -> Bench:
    return Bench(Act(CONTROLS[charter.version], bank, clock, steady=_steady(bank, process)), Step(crash_after))


def _refund(charter: CompiledCharter = CHARTER) -> Decision:
    return decision(case(charter), "refund", amount=50.0)


async def _to_its_end(bench: Bench, clock: Clock, record: Decision) -> tuple[str, str, int]:
    """Follow the timers. Returns the case's status, the step's status, and how often it came again."""
    for offset in range(20):
        writes = await bench.take(ACT, record, offset)
        ends = [line for line in audited(writes) if line.kind == "acted"]
        if ends:
            return str(ends[0].status), outcomes_of(ends[0])[0].status, offset + 1
        [reminder] = said(writes, TIMERS, Timer)
        record = CODEC.decode(Decision, reminder.value)
        clock.now = max(clock.now, reminder.due_at)
    raise AssertionError("it has no end")


async def _killed_in_the_call(bank: Bank, clock: Clock, charter: CompiledCharter = CHARTER) -> Bench:
    bank.dies = True
    dead = _bench(bank, clock, charter)
    with pytest.raises(Crash):
        await dead.take(ACT, _refund(charter))
    bank.dies = False
    clock.forward(10)
    return _bench(bank, clock, charter, process="next").inherit(dead)


async def test_a_call_that_the_other_side_still_has_queued_is_not_made_again() -> None:
    clock = Clock()
    bank = Bank(clock, queued_s=QUEUED_S)
    alive = await _killed_in_the_call(bank, clock)
    assert await _to_its_end(alive, clock, _refund()) == ("completed", "done", 2)
    assert len(bank.due) == 1
    assert bank.questions == 2, "at once, and when its time was over"


async def test_an_answer_that_was_lost_is_waited_for_without_a_crash_too() -> None:
    clock = Clock()
    bank = Bank(clock, queued_s=QUEUED_S, lost=1)
    status, step, _ = await _to_its_end(_bench(bank, clock), clock, _refund())
    assert (status, step, len(bank.due)) == ("completed", "done", 1)


async def test_what_never_arrived_is_made_again_when_its_time_is_over() -> None:
    clock = Clock()
    bank = Bank(clock)
    dead = _bench(bank, clock, crash_after=1)  # the intent is durable, and nothing was sent
    with pytest.raises(Crash):
        await dead.take(ACT, _refund())
    alive = _bench(bank, clock).inherit(dead)
    status, step, _ = await _to_its_end(alive, clock, _refund())
    assert (status, step, len(bank.paid())) == ("completed", "done", 1)
    assert clock() - NOW >= timedelta(seconds=SETTLES_S)


async def test_the_second_call_is_given_its_own_time() -> None:
    clock = Clock()
    bank = Bank(clock, lost=1)
    dead = _bench(bank, clock, crash_after=1)
    with pytest.raises(Crash):
        await dead.take(ACT, _refund())
    bank._queued_s = QUEUED_S  # the second one is sent, its answer lost, and it waits there
    status, step, _ = await _to_its_end(_bench(bank, clock).inherit(dead), clock, _refund())
    assert (status, step, len(bank.due)) == ("completed", "done", 1)
    assert clock() - NOW >= timedelta(seconds=2 * SETTLES_S)


async def test_without_a_time_a_person_sees_it() -> None:
    clock = Clock()
    bank = Bank(clock, queued_s=QUEUED_S)
    alive = await _killed_in_the_call(bank, clock, NO_TIME)
    assert await _to_its_end(alive, clock, _refund(NO_TIME)) == ("running", "unknown", 1)
    assert len(bank.due) == 1


async def test_one_that_cannot_be_asked_in_the_end_is_unknown() -> None:
    clock = Clock()
    mute = StepResult("unknown", error="HTTP 500", retryable=True, answered=True)
    bank = Bank(clock, queued_s=QUEUED_S, asked=[mute] * 10)
    alive = await _killed_in_the_call(bank, clock)
    status, step, _ = await _to_its_end(alive, clock, _refund())
    assert (status, step, len(bank.due)) == ("running", "unknown", 1)


async def test_a_clock_that_was_ahead_when_the_call_was_sent_costs_one_period_at_most() -> None:
    clock = Clock()
    clock.forward(3600)
    bank = Bank(clock)
    dead = _bench(bank, clock, crash_after=1)
    with pytest.raises(Crash):
        await dead.take(ACT, _refund())
    clock.forward(-3600)
    status, step, _ = await _to_its_end(_bench(bank, clock).inherit(dead), clock, _refund())
    assert (status, step, len(bank.paid())) == ("completed", "done", 1)
    assert clock() - NOW < timedelta(seconds=SETTLES_S + 60)


async def test_a_call_that_was_recorded_long_ago_is_not_sent() -> None:
    """The worker was frozen between the record and the call, so another may count the call as settled."""
    clock = Clock()
    bank = Bank(clock)

    class Slow(Step):
        def made(self) -> None:
            super().made()
            clock.forward(SETTLES_S - CHARTER_TIMEOUT_S + 1 if self.steps == 1 else 0)

    bench = Bench(Act(in_force(CHARTER), bank, clock), Slow())
    [reminder] = said(await bench.take(ACT, _refund()), TIMERS, Timer)
    assert (bank.due, bank.questions) == ([], 0)
    clock.now = reminder.due_at
    assert await _to_its_end(bench, clock, _refund()) == ("completed", "done", 1)


CHARTER_TIMEOUT_S = 10


async def test_a_stop_and_a_resume_keep_what_was_begun() -> None:
    """A call that may have happened stays an open question while an order to stop is in force."""
    clock, control = Clock(), in_force(CHARTER)
    bank = Bank(clock, queued_s=QUEUED_S)
    bank.dies = True
    dead = Bench(Act(control, bank, clock))
    with pytest.raises(Crash):
        await dead.take(ACT, _refund())
    bank.dies = False
    control.apply(order("stop_all", "*", "*", reason="night"))
    alive = Bench(Act(control, bank, clock, steady=_steady(bank, "next"))).inherit(dead)
    for offset in range(3):
        await alive.take(ACT, _refund(), offset)
    control.apply(order("resume", "*", "*"))
    status, step, _ = await _to_its_end(alive, clock, _refund())
    assert (status, step, len(bank.due)) == ("completed", "done", 1)


class Troubled(Bank):
    """Queues as long as it likes within its time, loses calls and answers, and the worker dies in the middle of
    either.
    """

    def __init__(self, clock: Clock, chance: Random) -> None:
        super().__init__(clock)
        self._chance = chance
        self.faults = 0

    async def perform(self, compiled: CompiledCharter, step: RunStep, subject: str, traceparent: str) -> StepResult:
        fault = self._chance.choice(("none", "none", "lost", "never arrives", "dies", "errs"))
        self.faults += fault != "none"
        self._queued_s = self._chance.uniform(0, SETTLES_S - 1)
        if fault == "never arrives":
            return StepResult("unknown", error="no answer", retryable=True, answered=False)
        if step.begun and fault == "errs":
            return StepResult("unknown", error="HTTP 500", retryable=True, answered=True)
        done = await super().perform(compiled, step, subject, traceparent)
        if fault == "dies":
            raise Crash
        if not step.begun and fault in ("lost", "errs"):
            return StepResult("unknown", error="HTTP 503", retryable=True, answered=fault == "errs")
        return done


def _pass(seconds: float, *clocks: Clock) -> None:
    for clock in clocks:
        clock.forward(seconds)


@pytest.mark.parametrize("seeds", [range(start, start + 50) for start in range(0, 300, 50)], ids=str)
async def test_whatever_is_lost_and_whoever_dies_it_is_paid_once_or_said_to_be_unknown(seeds: range) -> None:
    faults = 0
    for seed in seeds:
        chance, clock, time_there = Random(seed), Clock(), Clock()
        bank = Troubled(time_there, chance)
        bench, record, crashes = _bench(bank, clock), _refund(), 0
        for offset in range(60):
            crash_after = chance.choice((None, None, 1, 2))
            dying = _bench(bank, clock, crash_after=crash_after, process=f"w{crashes}").inherit(bench)
            try:
                writes = await dying.take(ACT, record, offset)
            except Crash:
                crashes += 1
                _pass(chance.uniform(0, 20), clock, time_there)
                bench = _bench(bank, clock).inherit(dying)
                continue
            bench = dying
            ends = [line for line in audited(writes) if line.kind == "acted"]
            if ends:
                break
            [reminder] = said(writes, TIMERS, Timer)
            _pass(max(0.0, (reminder.due_at - clock.now).total_seconds()), clock, time_there)
            clock.forward(-chance.choice((0, 0, 0, 30)))  # it was ahead, and is put right
        else:
            raise AssertionError(f"seed {seed}: it has no end")
        _pass(2 * SETTLES_S, clock, time_there)
        status = outcomes_of(ends[0])[0].status
        paid = len(bank.paid())
        assert (status, paid) in (("done", 1), ("unknown", 0), ("unknown", 1), ("failed", 0)), f"seed {seed}"
        faults += bank.faults
    assert faults > len(seeds), "there was trouble"


async def test_what_an_older_program_began_is_asked_about_for_a_whole_period() -> None:
    clock = Clock()
    bank = Bank(clock)
    bench = _bench(bank, clock)
    made = _refund()
    step_id = ids.step_id(made.decision_id, 0)
    kept = orjson.loads(ExecutionState(at=NOW).model_dump_json()) | {"intents": [step_id]}
    progress = bench.tables["progress"]
    progress.write(Put(progress, PARTITION, made.decision_id.encode(), orjson.dumps(kept), 0.0))
    status, step, _ = await _to_its_end(bench, clock, made)
    assert (status, step, len(bank.due)) == ("completed", "done", 1)
    assert clock() - NOW >= timedelta(seconds=SETTLES_S)


OFFSETS_S = st.integers(-20 * SETTLES_S, 20 * SETTLES_S)


@settings(deadline=None, max_examples=examples(150))
@given(
    first_s=OFFSETS_S,
    others_s=st.lists(OFFSETS_S, min_size=1, max_size=4),
    timers_s=OFFSETS_S,
    queued_s=st.integers(1, SETTLES_S - 1),
    turns=st.lists(st.integers(1, 3), min_size=4, max_size=4),
    corrected_s=OFFSETS_S,
)
async def test_whatever_the_clocks_say_it_is_paid_once(
    first_s: int, others_s: list[int], timers_s: int, queued_s: int, turns: list[int], corrected_s: int
) -> None:
    """The first worker is killed in its call, and others follow, each with a different clock."""
    time_there = Clock()
    bank = Bank(time_there, queued_s)
    bank.dies = True
    bench = _bench(bank, lambda: time_there() + timedelta(seconds=first_s), process="first")
    with pytest.raises(Crash):
        await bench.take(ACT, _refund())
    bank.dies = False
    offset, ends = 0, []
    for number, ahead_s in enumerate(others_s):
        own = Clock()
        bench = _bench(bank, _ahead(time_there, own, ahead_s), process=f"w{number}").inherit(bench)
        is_last = number == len(others_s) - 1
        for turn in range(500 if is_last else turns[number]):
            writes = await bench.take(ACT, _refund(), offset)
            offset += 1
            if ends := [line for line in audited(writes) if line.kind == "acted"]:
                break
            [reminder] = said(writes, TIMERS, Timer)
            fires_in_s = (reminder.due_at - time_there()).total_seconds() - timers_s
            time_there.forward(max(1.0, min(fires_in_s, 100 * SETTLES_S)))
            if turn == 1:
                own.forward(corrected_s)  # the clock is put right, or wrong, in the midst of it
        if ends:
            break
    time_there.forward(2 * SETTLES_S)
    assert (ends[0].status, outcomes_of(ends[0])[0].status, len(bank.paid())) == ("completed", "done", 1)


def _ahead(time_there: Clock, own: Clock, seconds: int) -> Callable[[], datetime]:
    return lambda: time_there() + (own() - NOW) + timedelta(seconds=seconds)


async def test_a_clock_that_was_slow_when_the_call_was_sent_makes_no_call_look_old() -> None:
    """The case that paid twice: 90 s slow, 120 s to settle, 45 s in the queue."""
    clock = Clock()
    bank = Bank(clock, queued_s=QUEUED_S)
    bank.dies = True
    dead = _bench(bank, lambda: clock() - timedelta(seconds=90), process="slow")
    with pytest.raises(Crash):
        await dead.take(ACT, _refund())
    bank.dies = False
    clock.forward(35)
    alive = _bench(bank, clock, process="right").inherit(dead)
    status, step, _ = await _to_its_end(alive, clock, _refund())
    assert (status, step, len(bank.due)) == ("completed", "done", 1)
