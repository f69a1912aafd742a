"""Act: `progress`, `approvals`, `newer_events`, `halted` and `circuits`."""

import orjson
import pytest

from nightdesk.processors.execution import BREAKER
from nightdesk.schemas.records import Decision, Timer
from nightdesk.schemas.topics import ACT, APPROVALS, SUBJECT_EVENTS, TIMERS
from nightdesk.streams.stages.act import Act
from tests.streams.kept.stories.story import CHARTER, Story, numbered
from tests.streams.kept.tables import Tables, recover
from tests.streams.stages.stage_harness import Bench, Clock, Crash, Step, audited, in_force, order, said
from tests.streams.stages.test_approvals import ASKED, RECONSIDERED, REFUND, _came, _reply
from tests.streams.stages.world import AWAY, BUSY, World, decision

AN_HOUR_S = 3600
DONE, TRIED = (decision(numbered(number), text="tomorrow") for number in (7, 8))


def _act(world: World, crash_after: int | None = None) -> Bench:
    return Bench(Act(in_force(CHARTER), world, Clock()), Step(crash_after))


async def _decisions_were_begun() -> Bench:
    bench = _act(World(send=[BUSY]))
    await bench.take(ACT, TRIED)  # will be tried again
    await bench.take(ACT, DONE, 1)
    await bench.take(ACT, REFUND, 2)
    begun = _act(World(), crash_after=1).inherit(bench)
    with pytest.raises(Crash):  # approved, and the payment begun
        await begun.take(APPROVALS, _reply())
    return begun


async def _they_are_ended(tables: Tables) -> None:
    world = World()
    bench = recover(_act(world), tables)
    [done] = audited(await bench.take(ACT, DONE, 1))
    assert (done.status, world.calls) == ("completed", []), "each step was done"
    [tried] = audited(await bench.take(ACT, TRIED, 3))
    assert '"attempts":2' in tried.detail
    shown = orjson.loads(tables["approvals"][REFUND.decision_id][1])["payload_sha256"]
    approved = audited(await bench.take(APPROVALS, _reply(payload_sha256=shown)))
    assert '"status":"unknown"' in approved[-1].detail, "it was begun, and nobody knows how it ended"
    assert "pay" not in world.handlers


async def _a_person_answered() -> Bench:
    bench = _act(World())
    await bench.take(ACT, REFUND)
    await bench.take(APPROVALS, _reply("reject"), 1)
    return bench


async def _nobody_answers_again(tables: Tables) -> None:
    world = World()
    bench = recover(_act(world), tables)
    await bench.take(ACT, REFUND)  # the same decision again is known
    [void] = audited(await bench.take(APPROVALS, _reply(), 2))
    assert ("answered before: reject" in void.reason, world.calls) == (True, [])


async def _a_system_was_away() -> Bench:
    bench = _act(World(send=[AWAY] * BREAKER.failures_to_open))
    for number in range(BREAKER.failures_to_open):
        await bench.take(ACT, decision(numbered(number), text="tomorrow"), number)
    bench.tick()
    return bench


async def _it_is_left_alone(tables: Tables) -> None:
    world = World()
    bench = recover(_act(world), tables)
    writes = await bench.take(ACT, decision(numbered(0), text="tomorrow"))
    assert (world.calls, len(said(writes, TIMERS, Timer))) == ([], 1)
    bench.handlers._clock.forward(AN_HOUR_S)  # type: ignore[attr-defined]  # the bench's own clock
    [acted] = audited(await bench.take(ACT, decision(numbered(0), text="tomorrow")))
    assert acted.status == "completed"


async def _an_order_came() -> Bench:
    control = in_force(CHARTER)
    control.apply(order("pause", "desk", "desk"))
    bench = Bench(Act(control, World(), Clock()))
    await bench.take(ACT, DONE)
    bench.tick()
    return bench


async def _it_is_let_go(tables: Tables) -> None:
    world = World()
    bench = recover(_act(world), tables)
    [decided] = said(bench.tick(), ACT, Decision)
    [acted] = audited(await bench.take(ACT, decided, 1))
    assert (decided.decision_id, acted.status) == (DONE.decision_id, "completed")


async def _an_event_came_early() -> Bench:
    bench = Bench(Act(in_force(RECONSIDERED), World(), Clock()))
    await bench.take(SUBJECT_EVENTS, _came(), 1)
    return bench


async def _it_takes_the_decision_back(tables: Tables) -> None:
    world = World()
    bench = recover(Bench(Act(in_force(RECONSIDERED), world, Clock())), tables)
    [taken_back, acted] = audited(await bench.take(ACT, ASKED, 2))
    assert "came: the case is decided again" in taken_back.reason
    assert (acted.status, world.calls) == ("running", [])


STORIES = (
    Story("decisions were begun", _decisions_were_begun, _they_are_ended),
    Story("a person answered", _a_person_answered, _nobody_answers_again),
    Story("an order came", _an_order_came, _it_is_let_go),
    Story("an event came while its case was being decided", _an_event_came_early, _it_takes_the_decision_back),
    Story("a system was away", _a_system_was_away, _it_is_left_alone),
)
