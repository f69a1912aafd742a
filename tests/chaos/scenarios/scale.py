"""Workers come and go under load: one leaves its group for good, another is killed, and each comes back later.

It prints how long a partition stood still at each change. No worker may end because records were skipped.
"""

from random import Random

from nightdesk.schemas.topics import INGEST
from nightdesk.streams.runtime.process.fail_stop import ExitCode
from tests.chaos.events import ANSWER, APPEND, draw
from tests.chaos.scenario import LONG, SHORT, Scenario
from tests.chaos.silence import watched
from tests.chaos.world import SESSION_TIMEOUT_S, World, tell

NAME = "scale"
# In the long form: 50 changes, of which each is a worker that goes or one that comes.
CHANGES_IN_THE_LONG_FORM = 50
SHORT_CHANGES = 4
EVENTS_A_SECOND = 4
# A worker that went stays away for so long, and one that came works for so long, before the next change.
BETWEEN_SHORT_S, BETWEEN_LONG_S = 4.0, 8.0
READY_WITHIN_S = 120.0
STAGE = "ingest"


def play(world: World, size: int, chance: Random) -> None:
    changes = max(SHORT_CHANGES, CHANGES_IN_THE_LONG_FORM * size // LONG)
    world.until(world.fleet.are_ready, READY_WITHIN_S)
    gaps = world.fleet.exits[ExitCode.GAP]
    between_s = BETWEEN_LONG_S if size > SHORT else BETWEEN_SHORT_S
    seconds = changes * 2 * between_s
    world.send(draw(NAME, int(seconds * EVENTS_A_SECOND), chance, (ANSWER, APPEND)), over_s=seconds)
    with watched(world.settings.kafka, STAGE, INGEST.name) as measure:
        world.pause(between_s / 2)
        for number in range(changes // 2):
            name = f"{STAGE}-{chance.randrange(2)}"
            leaves = number % 2 == 0
            ended, silence = world.fleet.ended(name), measure()
            world.fleet.dismiss(name, kill=not leaves)
            world.until(ended, READY_WITHIN_S)
            # Who was killed is away until its session is over and the other has its partitions.
            world.pause(between_s if leaves else SESSION_TIMEOUT_S + between_s)
            tell(f"{name} {'left' if leaves else 'was killed'}: a partition stood still for {silence.worst_s:.1f} s")
            silence = measure()
            world.fleet.take_back(name)
            world.until(lambda name=name: world.fleet.is_ready(name), READY_WITHIN_S)  # type: ignore[misc]  # mypy cannot infer it
            world.pause(between_s / 2)
            tell(f"{name} came: a partition stood still for {silence.worst_s:.1f} s")
    skipped = world.fleet.exits[ExitCode.GAP] - gaps
    if skipped:
        world.observed.append(f"{skipped} workers ended because records were skipped")


SCENARIO = Scenario(NAME, play)
