"""One question takes half a minute, a thousand behind it are answered, and the process is killed.

None of the thousand is committed, because the first is not done. Still, none of their answers is bought again.
"""

from collections import Counter
from collections.abc import Iterator
from random import Random

from tests.chaos.events import ANSWER, Sent, draw
from tests.chaos.facts import Facts
from tests.chaos.scenario import SHORT, Scenario
from tests.chaos.world import World
from tests.fakes.model_server import Step

NAME = "slow-head"
HEAD = "slow-head-first"
HEAD_S = 30.0
BEHIND_SHORT, BEHIND_LONG = 100, 1000
ANSWERED_WITHIN_S = 200.0


def play(world: World, size: int, chance: Random) -> None:
    """Kill the decide stages when only the first question is unanswered; if that takes too long, the test is weaker."""
    behind = draw(NAME, BEHIND_LONG if size > SHORT else BEHIND_SHORT, chance, (ANSWER,), subjects=100)
    head = [Sent(HEAD, number, f"{HEAD}-{number}", ANSWER) for number in range(4)]
    for one in head:
        world.outside.model.steps[one.name] = Step(delay_seconds=HEAD_S)
    world.send(head)
    world.sender.finish()
    world.send(behind)
    world.until(lambda: world.outside.actions.events_at("/notes", NAME) >= len(behind), ANSWERED_WITHIN_S)
    for name in ("decide-0", "decide-1"):
        world.fleet.kill(name)
    for one in head:
        del world.outside.model.steps[one.name]


def bought_once(facts: Facts) -> Iterator[str]:
    """Each answer behind the head was bought once."""
    asked = Counter(one for one in facts.asked if one.source == NAME)
    for one, count in asked.items():
        if count > 1:
            yield f"{NAME}/{one.number} was asked {count} times"


SCENARIO = Scenario(NAME, play, (bought_once,))
