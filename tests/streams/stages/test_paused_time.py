"""Paused seconds are those in which an order kept an agent from acting, whoever counts them and whenever."""

from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors.execution import OrderScope
from nightdesk.schemas.records import ControlCommand
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.paused_time import PausedTime
from tests.processors.examples import compiled
from tests.streams.stages.stage_harness import PARTITION, Bench, Clock, in_force, order
from tests.streams.stages.world import World

CHARTER = compiled()
ORDERS = [("pause", "desk"), ("resume", "desk"), ("stop_all", "*"), ("resume", "*"), ("pause", "*")]
MOVES = st.lists(st.tuples(st.sampled_from([*ORDERS, None]), st.integers(0, 5000), st.booleans()), max_size=25)


def _expected(last: dict[str, str], *, escalates: bool) -> bool:
    if escalates:
        return last.get("*") == "stop_all"
    return any(last.get(agent, "resume") != "resume" for agent in ("*", "desk"))


@given(MOVES)
def test_it_is_the_time_in_which_an_order_stood(moves: list[tuple[tuple[str, str] | None, int, bool]]) -> None:
    control, clock = in_force(CHARTER), Clock()
    bench = Bench(Act(control, World(), clock))
    last: dict[str, str] = {}
    paused = {True: 0.0, False: 0.0}
    for given_order, seconds, restarts in moves:
        if given_order is not None:
            kind, agent = given_order
            control.apply(_order(kind, agent, clock))
            last[agent] = kind
            bench.tick()
        if restarts:
            bench = Bench(Act(control, World(), clock)).inherit(bench)
            bench.tick()
        clock.forward(seconds)
        for escalates in paused:
            paused[escalates] += seconds if _expected(last, escalates=escalates) else 0
            counted = _paused_time(bench).seconds(PARTITION, OrderScope("desk", escalates))
            assert abs(counted - paused[escalates]) < 0.001


def test_a_resume_that_was_given_while_no_worker_ran_ended_the_pause_when_it_was_given() -> None:
    control, clock = in_force(CHARTER), Clock()
    bench = Bench(Act(control, World(), clock))
    control.apply(_order("pause", "desk", clock))
    bench.tick()
    clock.forward(3600)
    control.apply(_order("resume", "desk", clock))
    clock.forward(3600)
    bench = Bench(Act(control, World(), clock)).inherit(bench)
    bench.tick()
    assert _paused_time(bench).seconds(PARTITION, OrderScope("desk", escalates=False)) == 3600


def _order(kind: str, agent: str, clock: Clock) -> ControlCommand:
    return order(kind, agent, agent, time=clock.now)


def _paused_time(bench: Bench) -> PausedTime:
    assert isinstance(bench.handlers, Act)
    return bench.handlers.paused_time
