"""After an order to stop no call begins, not even in a worker that does not know yet whether there is one."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from nightdesk.processors.model import ModelReply, ModelUnavailable
from nightdesk.schemas.records import BudgetEntry, Decision, Fallback, Timer
from nightdesk.schemas.topics import ACT, BUDGET, DECIDE, TIMERS
from nightdesk.streams import confirmation
from nightdesk.streams.confirmation import Confirmation
from nightdesk.streams.control import Control
from nightdesk.streams.stages import calls
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.decide import Decide
from tests.processors.examples import answer, case, compiled, event, reply
from tests.schemas.details import outcomes_of
from tests.streams.stages.stage_harness import Bench, Clock, Crash, Step, audited, in_force, order, said
from tests.streams.stages.test_decide import WORST, Model
from tests.streams.stages.world import World, decision

CHARTER = compiled(("approval: always", "approval: never"))
CASE = case(CHARTER)
REFUND = decision(CASE, "refund", amount=50.0)
BOUND_S = 5.0


class Age(Confirmation):
    """The test sets its age."""

    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(BOUND_S, lambda: self.now_s)


@dataclass
class During(Step):
    """Something happens while the stage waits for the broker; `alive` may say no."""

    happens: Callable[[], None] = lambda: None
    is_alive: bool = True

    def alive(self) -> None:
        if not self.is_alive:
            raise Crash

    def made(self) -> None:
        super().made()
        self.happens()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirmation, "POLL_S", 0.0)


def _act(control: Control, world: World, step: Step | None = None) -> Bench:
    return Bench(Act(control, world, Clock()), step or Step())


def _decide(control: Control, model: Model, step: Step | None = None) -> Bench:
    return Bench(Decide(control, model, Clock()), step or Step())


async def _turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def _stop_all() -> Any:
    return order("stop_all", "*", "*", reason="night")


def _resume() -> Any:
    return order("resume", "*", "*")


# -- act


async def test_without_a_fresh_confirmation_nothing_acts_until_there_is_one() -> None:
    age, world = Age(), World()
    under_way = asyncio.create_task(_act(in_force(CHARTER, confirmation=age), world).take(ACT, REFUND))
    await _turns()
    assert (world.calls, under_way.done()) == ([], False)
    age.confirm(age.now_s)
    [record] = audited(await under_way)
    assert (record.status, world.handlers) == ("completed", ["pay"])


async def test_a_confirmation_that_grows_old_during_the_playbook_stops_its_next_call() -> None:
    age = Age()
    age.confirm(0.0)

    class Slow(World):
        async def perform(self, *call: Any) -> Any:
            age.now_s += BOUND_S + 1
            return await super().perform(*call)

    world = Slow()
    under_way = asyncio.create_task(
        _act(in_force(CHARTER, confirmation=age), world).take(ACT, decision(CASE, text="tomorrow"))
    )
    await _turns()
    assert (world.handlers, under_way.done()) == (["send"], False)
    age.confirm(age.now_s)
    await under_way
    assert world.handlers == ["send", "note"]


async def test_an_order_that_is_read_while_a_call_waits_is_obeyed_and_leaves_nothing_in_doubt() -> None:
    age, world = Age(), World()
    control = in_force(CHARTER, confirmation=age)
    bench = _act(control, world)
    under_way = asyncio.create_task(bench.take(ACT, REFUND))
    await _turns()
    control.apply(_stop_all())
    age.confirm(age.now_s)
    assert [record.status for record in audited(await under_way)] == ["waiting"]
    assert world.calls == []
    control.apply(_resume())
    [record] = audited(await _act(control, world).inherit(bench).take(ACT, REFUND, 1))
    assert (record.status, world.handlers) == ("completed", ["pay"])


async def test_an_order_that_comes_while_the_intent_is_saved_is_obeyed_and_the_intent_taken_back() -> None:
    control, world = in_force(CHARTER), World()
    bench = _act(control, world, During(happens=lambda: control.apply(_stop_all())))
    [waits] = audited(await bench.take(ACT, REFUND))
    assert (world.calls, waits.status, "night" in waits.reason) == ([], "waiting", True)
    control.apply(_resume())
    [record] = audited(await _act(control, world).inherit(bench).take(ACT, REFUND, 1))
    assert (record.status, world.handlers) == ("completed", ["pay"])


async def test_a_call_that_was_cut_off_stays_unknown_over_an_order_to_stop_and_its_end() -> None:
    control, world = in_force(CHARTER), World()
    dead = _act(control, world, Step(crash_after=1))
    with pytest.raises(Crash):
        await dead.take(ACT, REFUND)
    control.apply(_stop_all())
    waits = _act(control, world).inherit(dead)
    assert [record.status for record in audited(await waits.take(ACT, REFUND))] == ["waiting"]
    control.apply(_resume())
    [record] = audited(await _act(control, world).inherit(waits).take(ACT, REFUND, 1))
    assert '"status":"unknown"' in record.detail
    assert world.handlers == [], "never a second try"


async def test_a_process_that_lost_its_partitions_while_it_waited_makes_no_call() -> None:
    age, world, step = Age(), World(), During()
    under_way = asyncio.create_task(_act(in_force(CHARTER, confirmation=age), world, step).take(ACT, REFUND))
    await _turns()
    step.is_alive = False
    age.confirm(age.now_s)
    with pytest.raises(Crash):
        await under_way
    assert world.calls == []


async def test_the_audit_says_when_a_call_began_and_not_when_it_began_to_wait() -> None:
    age, clock = Age(), Clock()
    bench = Bench(Act(in_force(CHARTER, confirmation=age), World(), clock))
    under_way = asyncio.create_task(bench.take(ACT, REFUND))
    await _turns()
    clock.forward(60)
    age.confirm(age.now_s)
    [record] = audited(await under_way)
    assert [outcome.started_at for outcome in outcomes_of(record)] == [clock.now]


async def test_a_call_that_waits_for_room_asks_for_orders_when_it_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would be sent long after an order to stop, according to the orders of the time when it began to
    wait.
    """
    monkeypatch.setattr(calls, "CALLS_AT_ONCE", 1)
    control, answer = in_force(CHARTER), asyncio.Event()

    class Slow(World):
        async def perform(self, *call: Any) -> Any:
            done = await super().perform(*call)
            await answer.wait()
            return done

    world = Slow()
    bench = _act(control, world)
    other = decision(case(CHARTER, event().model_copy(update={"id": "e-2"})), "refund", amount=50.0)
    first, second = (asyncio.create_task(bench.take(ACT, each)) for each in (REFUND, other))
    await _turns()
    assert world.handlers == ["pay"]
    control.apply(_stop_all())
    answer.set()
    assert [record.status for record in audited(await first)] == ["completed"]
    assert [record.status for record in audited(await second)] == ["waiting"]
    assert world.handlers == ["pay"]


# -- decide


def _model(*texts: str) -> Model:
    replies: list[ModelReply] = [reply(answer("respond", text=text), cost_microusd=1000) for text in texts]
    return Model(*replies)


async def test_without_a_fresh_confirmation_no_model_is_asked_until_there_is_one() -> None:
    age, model = Age(), _model("tomorrow")
    under_way = asyncio.create_task(_decide(in_force(CHARTER, confirmation=age), model).take(DECIDE, CASE))
    await _turns()
    assert (model.asked, under_way.done()) == ([], False)
    age.confirm(age.now_s)
    assert len(said(await under_way, ACT, Decision)) == 1


async def test_after_stop_all_no_model_is_asked_and_the_case_goes_on_when_it_is_taken_back() -> None:
    control, model = in_force(CHARTER), _model("tomorrow")
    control.apply(_stop_all())
    bench = _decide(control, model)
    waits = await bench.take(DECIDE, CASE)
    [back] = said(waits, BUDGET, BudgetEntry)
    assert (back.kind, back.cause, back.amount_microusd, "night" in back.reason) == ("returned", "paused", 0, True)
    assert (model.asked, said(waits, ACT, Decision), said(waits, TIMERS, Timer)) == ([], [], [])
    assert back.case is not None
    control.apply(_resume())
    [made] = said(await bench.take(DECIDE, back.case, 1), ACT, Decision)
    assert (made.cost_microusd, len(model.asked)) == (1000, 1)


async def test_an_order_that_comes_while_the_question_is_recorded_costs_nothing() -> None:
    control, model = in_force(CHARTER), _model("tomorrow")
    bench = _decide(control, model, During(happens=lambda: control.apply(_stop_all())))
    [back] = said(await bench.take(DECIDE, CASE), BUDGET, BudgetEntry)
    assert (back.kind, back.amount_microusd, model.asked) == ("returned", 0, [])
    assert len(bench.tables["replies"]) == 0
    control.apply(_resume())
    [made] = said(await _decide(control, model).inherit(bench).take(DECIDE, CASE, 1), ACT, Decision)
    assert made.cost_microusd == 1000 < WORST


async def test_an_agent_that_is_paused_asks_no_model() -> None:
    control, model = in_force(CHARTER), _model("tomorrow")
    control.apply(order("pause", "desk", "desk"))
    writes = await _decide(control, model).take(DECIDE, CASE)
    [back] = said(writes, BUDGET, BudgetEntry)
    assert (back.kind, back.cause, model.asked, said(writes, ACT, Decision)) == ("returned", "paused", [], [])


async def test_an_agent_that_is_paused_still_decides_where_no_model_is_asked() -> None:
    control, model = in_force(CHARTER), Model()
    control.apply(order("pause", "desk", "desk"))
    handed_over = CASE.model_copy(update={"escalate_because": "the money is spent"})
    [made] = said(await _decide(control, model).take(DECIDE, handed_over), ACT, Decision)
    assert made.kind == "escalate"


async def test_a_question_whose_second_provider_is_stopped_is_given_back_with_its_cost() -> None:
    timeout, stopped = (
        Fallback(provider="anthropic", reason="timeout", called=True),
        Fallback(provider="other", reason="stopped"),
    )
    cut = ModelUnavailable(reasons=(timeout, stopped), unanswered_cost_microusd=70, retryable=True)
    model = Model(cut, reply(answer("respond", text="tomorrow"), cost_microusd=1000))
    bench = _decide(in_force(CHARTER), model)
    [back] = said(await bench.take(DECIDE, CASE), BUDGET, BudgetEntry)
    assert (back.cause, back.amount_microusd) == ("paused", 70)
    assert back.case is not None
    [made] = said(await bench.take(DECIDE, back.case, 1), ACT, Decision)
    assert made.cost_microusd == 1070


async def test_an_answer_that_is_recorded_is_used_whatever_is_ordered() -> None:
    control, model = in_force(CHARTER), _model("tomorrow")
    dead = _decide(control, model, Step(crash_after=2))
    with pytest.raises(Crash):
        await dead.take(DECIDE, CASE)
    control.apply(_stop_all())
    assert len(said(await _decide(control, Model()).inherit(dead).take(DECIDE, CASE), ACT, Decision)) == 1
