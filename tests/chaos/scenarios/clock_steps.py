"""The wall clock of one worker jumps an hour ahead or back for some seconds, and is right again.

What the worker wrote meanwhile must delay nothing for that hour: no limit, circuit, subject or timer. A worker whose
clock is set back ends, because its Kafka clients would wait for that hour.
"""

from dataclasses import replace
from random import Random

from nightdesk.streams.runtime.process.fail_stop import ExitCode
from tests.chaos.events import ANSWER, APPEND, LOOK, draw
from tests.chaos.fleet import has_own_clock
from tests.chaos.scenario import SHORT, Scenario
from tests.chaos.world import World

NAME = "clock-steps"
EVENTS = 40
STEPS_SHORT, STEPS_LONG = 2, 20
HOUR_S = 3600
WRONG_S = (3.0, 6.0)
NOTICED_WITHIN_S = 20.0
READY_WITHIN_S = 120.0
# A case that seems to have taken an hour has used up its time, and goes to a person.
KINDS = tuple(replace(kind, ends=kind.ends | {"escalated"}) for kind in (ANSWER, APPEND, LOOK))


def play(world: World, size: int, chance: Random) -> None:
    """Set the clock of one worker at a time, a different one at each step. Returns when all are ready again."""
    settable = [name for name in world.fleet.names if has_own_clock(name)]
    before = world.fleet.exits[ExitCode.CLOCK_SET_BACK]
    for number in range(STEPS_LONG if size > SHORT else STEPS_SHORT):
        name, ahead_s = chance.choice(settable), HOUR_S if number % 2 == 0 else -HOUR_S
        world.send(draw(f"{NAME}-{number}", EVENTS, chance, KINDS), over_s=5.0)
        _when_ready(world, name)
        _set_clock(world, name, ahead_s, is_back=ahead_s < 0)
        world.pause(chance.uniform(*WRONG_S))
        _set_clock(world, name, 0, is_back=ahead_s > 0)
    if not world.until(world.fleet.are_ready, READY_WITHIN_S):
        world.observed.append(f"{NAME}: not ready after {READY_WITHIN_S:.0f} s: {world.fleet.unready()}")
    if world.fleet.exits[ExitCode.CLOCK_SET_BACK] == before:
        world.observed.append(f"{NAME}: no worker noticed that its clock was set back")


def _when_ready(world: World, name: str) -> None:
    """A worker that starts with a wrong clock waits until it is right, so it would have nothing to notice."""
    if not world.until(lambda: world.fleet.is_ready(name), READY_WITHIN_S):
        world.observed.append(f"{NAME}: {name} is not ready after {READY_WITHIN_S:.0f} s, before its clock is set")


def _set_clock(world: World, name: str, ahead_s: int, *, is_back: bool) -> None:
    """A clock that is set back ends its worker; one that starts just then has nothing to notice."""
    ended = world.fleet.ended(name)
    world.fleet.set_clock(name, ahead_s)
    if is_back:
        world.until(ended, NOTICED_WITHIN_S)
    else:
        world.pause(1.0)


SCENARIO = Scenario(NAME, play)
