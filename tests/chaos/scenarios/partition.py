"""Connections are cut by their role, so that a process reads and writes but does not hear from its group, or the other
way round; and all of them are cut for 5 to 20 seconds. What was sent meanwhile arrives late.
"""

import time
from collections.abc import Container, Iterable, Iterator
from random import Random

from tests.chaos.events import ANSWER, APPEND, LOOK, draw
from tests.chaos.kafka_proxy import Direction, Role
from tests.chaos.scenario import SHORT, Scenario
from tests.chaos.world import SESSION_TIMEOUT_S, World

NAME = "partition"
EVENTS_A_CUT = 15
# Long enough for the group to give the process up and for another to take over, while it is cut off.
GIVEN_UP_S = SESSION_TIMEOUT_S * 2.5
BLACK_HOLE_S = (5.0, 20.0)
PAUSES_SHORT_S, PAUSES_LONG_S = (1.0, 4.0), (3.0, 9.0)
READY_WITHIN_S = 120.0
ROLES = (Role.COORDINATOR, Role.FETCH, Role.PRODUCE, Role.CONTROL)
# What is cut: one role, or everything at once.
CUTS: tuple[tuple[Role, ...], ...] = (*((role,) for role in ROLES), ())


def play(world: World, size: int, chance: Random) -> None:
    """The short form cuts each role once and the coordinator twice; the long form makes `size` cuts, each of a process
    that is at work. Several may last at the same time.
    """
    assert world.proxy is not None
    world.until(world.fleet.are_ready, READY_WITHIN_S)
    cuts = [*CUTS, CUTS[0]] if size <= SHORT else [chance.choice((*CUTS, CUTS[0])) for _ in range(size)]
    pauses_s = PAUSES_SHORT_S if size <= SHORT else PAUSES_LONG_S
    world.send(
        draw(NAME, len(cuts) * EVENTS_A_CUT, chance, (ANSWER, APPEND, APPEND, LOOK)),
        over_s=len(cuts) * sum(pauses_s) / 2,
    )
    standing: dict[str, float] = {}
    for roles in cuts:
        world.pause(chance.uniform(*pauses_s))
        _heal(world, [name for name, until in standing.items() if until <= time.monotonic()], standing)
        world.until(lambda: any(_at_work(world, standing)), READY_WITHIN_S)
        name = chance.choice(list(_by_weight(_at_work(world, standing))) or ["act-0"])
        standing[name] = time.monotonic() + _cut(world, name, roles, chance)
    while standing:
        world.pause(1.0)
        _heal(world, [name for name, until in standing.items() if until <= time.monotonic()], standing)
    for role in ROLES:
        if not any(world.proxy.hit[name, role] for name in world.fleet.names):
            world.observed.append(f"{NAME}: no {role.value} connection was ever cut in the midst of anything")


def _cut(world: World, name: str, roles: tuple[Role, ...], chance: Random) -> float:
    """Cut a connection, sometimes in one direction only, and return for how many seconds."""
    assert world.proxy is not None
    directions = chance.choice(((Direction.ANSWERS,), (Direction.REQUESTS, Direction.ANSWERS)))
    world.fleet.faults["cut off"] += 1
    world.proxy.hold(name, *roles, directions=directions)
    return GIVEN_UP_S if roles == (Role.COORDINATOR,) else chance.uniform(*BLACK_HOLE_S)


def _heal(world: World, names: Iterable[str], standing: dict[str, float]) -> None:
    assert world.proxy is not None
    for name in names:
        world.proxy.heal(name)
        del standing[name]


def _at_work(world: World, standing: Container[str]) -> Iterator[str]:
    return (name for name in world.fleet.names if name not in standing and world.fleet.is_ready(name))


def _by_weight(names: Iterable[str]) -> Iterator[str]:
    """Stages that cause effects are cut most."""
    return (name for name in names for _ in range(6 if name.startswith("act") else 1))


SCENARIO = Scenario(NAME, play, proxied=True)
