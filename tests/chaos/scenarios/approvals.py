"""Two persons answer at the same moment, one yes and one no, while the stage is killed. One answer has to win."""

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

from nightdesk.operations.clickhouse import clickhouse
from nightdesk.schemas.records import ApprovalReply
from nightdesk.schemas.topics import APPROVALS
from nightdesk.sinks.approvals import Waiting, waiting
from tests.chaos.events import ASK, draw
from tests.chaos.facts import Facts
from tests.chaos.scenario import SHORT, Scenario
from tests.chaos.world import World

NAME = "approvals"
EVENTS_SHORT, EVENTS_LONG = 40, 400
HELD_WITHIN_S = 120.0
AT_ONCE = 10


def play(world: World, size: int, chance: Random) -> None:
    """Answer each waiting decision with one person's yes and another's no, in either order, one directly after the
    other.
    """
    events = draw(NAME, EVENTS_LONG if size > SHORT else EVENTS_SHORT, chance, (ASK,), subjects=100)
    world.send(events, over_s=2.0)
    if not world.until(lambda: len(_held(world)) >= len(events), HELD_WITHIN_S, poll_s=1.0):
        world.observed.append(f"{NAME}: {len(_held(world))} of {len(events)} decisions wait for a person")
    held = _held(world)
    for first in range(0, len(held), AT_ONCE):
        world.produce(APPROVALS, [reply for one in held[first : first + AT_ONCE] for reply in _both(one, chance)])
        world.pause(chance.uniform(0.0, 1.0))
        if chance.random() < 0.5:
            world.fleet.kill(chance.choice(("act-0", "act-1")))


def _held(world: World) -> list[Waiting]:
    with clickhouse(world.settings.clickhouse) as client:
        return [one for one in waiting(client) if one.subject.startswith(NAME)]


def _both(held: Waiting, chance: Random) -> list[ApprovalReply]:
    yes = ApprovalReply(
        decision_id=held.decision_id,
        subject=held.subject,
        verdict="approve",
        payload_sha256=held.payload_sha256,
        person="ada",
        time=datetime.now(UTC),
    )
    no = yes.model_copy(update={"verdict": "reject", "person": "grace", "reason": "not this one"})
    return chance.sample([yes, no], 2)


def one_winner(facts: Facts) -> Iterator[str]:
    """What was approved was done, what was rejected was not, and both happened."""
    statuses = {name: status for name, status in facts.ends if name[0] == NAME}
    for effect in facts.effects:
        if effect.source == NAME and statuses.get(effect.name) == "refused":
            yield f"{NAME}/{effect.number} was rejected, and was done all the same"
    if len(set(statuses.values())) < 2:
        yield f"one side always won: {set(statuses.values())}"


SCENARIO = Scenario(NAME, play, (one_winner,))
