"""The outside executes calls and answers wrongly: late, with an error, not at all, or with 404 while the call is queued
there.

Payments are made in four ways: with a key, by name, with neither, and with neither at a bank that can be asked. Workers
are killed meanwhile. Nothing may be paid twice, and what was paid is `done` or `unknown`, never `failed`.
"""

from random import Random

from tests.chaos.events import Kind, draw
from tests.chaos.scenario import Scenario
from tests.chaos.world import World

NAME = "liar"
ENDS = frozenset({"completed", "failed"})
PAYMENTS = tuple(
    Kind("payment.due", way, (f"/payments/{way}",), ENDS, ordered=False) for way in ("key", "natural", "none", "asked")
)
EVENTS_A_SIZE = 6
EVENTS_PER_SECOND = 4
PAUSES_S = (2.0, 5.0)
KILLS_SHORT = 3
SIZE_A_KILL = 8
READY_WITHIN_S = 120.0
WORKERS = ("act-0", "act-1")


def play(world: World, size: int, chance: Random) -> None:
    """Six payments for each kill of the kill storm, and a kill of a worker at work for each fifty. The bank answers
    wrongly for two of five payments.
    """
    kills, count = max(KILLS_SHORT, size // SIZE_A_KILL), size * EVENTS_A_SIZE
    bank, fleet = world.outside.actions.bank, world.fleet
    bank.lies = Random(chance.random())
    world.send(draw(NAME, count, chance, PAYMENTS), over_s=count / EVENTS_PER_SECOND)
    for _ in range(kills):
        world.pause(chance.uniform(*PAUSES_S))
        world.until(lambda: any(map(fleet.is_ready, WORKERS)), READY_WITHIN_S)
        fleet.kill(chance.choice([name for name in WORKERS if fleet.is_ready(name)] or WORKERS))
    world.ended(NAME, within_s=240.0)
    fleet.faults["answered wrongly"] += bank.lied


SCENARIO = Scenario(NAME, play)
