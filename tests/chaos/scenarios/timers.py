"""A thousand timers are set, and the stage that stores them is killed repeatedly: each fires once, and none early."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

from nightdesk.schemas.records import Timer
from nightdesk.schemas.topics import INGEST, TIMERS
from tests.chaos.events import NOTE, Sent, draw
from tests.chaos.scenario import SHORT, Scenario
from tests.chaos.world import World

NAME = "timers"
# They are due in another order than they are set.
NOTED = replace(NOTE, ordered=False)
TIMERS_SHORT, TIMERS_LONG = 100, 1000
FIRST_S, LAST_SHORT_S, LAST_LONG_S = 3.0, 10.0, 60.0
PAUSES_S = (1.0, 4.0)
FIRED_WITHIN_S = 180.0


def play(world: World, size: int, chance: Random) -> None:
    """Every timer emits an event that is recorded; all are set before the first kill and due during the kills."""
    last_s = LAST_LONG_S if size > SHORT else LAST_SHORT_S
    events = draw(NAME, TIMERS_LONG if size > SHORT else TIMERS_SHORT, chance, (NOTED,), subjects=1000)
    began = time.time()
    due = {one.name: began + chance.uniform(FIRST_S, last_s) for one in events}
    world.expect(events)
    world.produce(TIMERS, [_timer(world, one, due[one.name]) for one in events])
    while time.time() < began + last_s:
        world.pause(chance.uniform(*PAUSES_S))
        world.fleet.kill(chance.choice(("timers-0", "timers-1", "timers-0", "timers-1", "ingest-0")))
    if not world.ended(NAME, FIRED_WITHIN_S):
        world.observed.append(f"{NAME}: not every timer fired within {FIRED_WITHIN_S:.0f} s")
    for effect in list(world.outside.actions.seen):
        if effect.source == NAME and effect.at < due[effect.name]:
            world.observed.append(f"{NAME}: {effect.number} came {due[effect.name] - effect.at:.3f} s too early")


def _timer(world: World, sent: Sent, due: float) -> Timer:
    return Timer(
        timer_id=f"{NAME}-{sent.number}",
        subject=sent.subject,
        due_at=datetime.fromtimestamp(due, UTC),
        topic=INGEST.name,
        key=sent.subject,
        value=world.codec.encode(sent.event()),
        reason=NAME,
    )


SCENARIO = Scenario(NAME, play)
