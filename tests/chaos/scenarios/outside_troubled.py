"""The model and the outside are slow, failing, malformed and unreachable, one after the other.

An action waits for its system and is not lost, though later actions of its subject may overtake it. A question that no
provider answers is refused, because this charter has no rules; what was answered badly is still charged and settled, as
the checks of money verify. This scenario is played last, because for a while afterwards the model is not asked.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from urllib.parse import urlsplit

from tests.chaos.events import ANSWER, APPEND, draw
from tests.chaos.scenario import SHORT, Scenario
from tests.chaos.world import World
from tests.fakes import action_server, model_server
from tests.fakes.model_server import Step

NAME = "outside-troubled"
WAITING = tuple(replace(kind, ordered=False) for kind in (ANSWER, APPEND))
UNANSWERED = replace(ANSWER, ends=frozenset({"completed", "failed", "refused"}), ordered=False)
EVENTS = 8
DECIDED_WITHIN_S = 60.0
TROUBLE_SHORT_S, TROUBLE_LONG_S = 2.0, 20.0
MODEL = (
    Step(model_server.Conduct.SERVER_ERROR),
    Step(model_server.Conduct.RATE_LIMITED, retry_after_seconds=1.0),
    Step(model_server.Conduct.MALFORMED_TEXT),
    Step(model_server.Conduct.MALFORMED_BODY),
    Step(model_server.Conduct.WRONG_BODY),
    Step(model_server.Conduct.MALFORMED_HTTP),
    Step(model_server.Conduct.DROP),
    Step(delay_seconds=5.0),
)
ACTIONS = (
    action_server.UNAVAILABLE,
    action_server.TOO_MANY,
    action_server.BREAK,
    action_server.CLOSE_AFTER_ACTING,
    action_server.CLOSE_AFTER_READING,
    action_server.Conduct(body=b"not { json"),
    action_server.Conduct(delay_seconds=5.0),
)


def play(world: World, size: int, chance: Random) -> None:
    """Play each trouble for a while, with a kill in each; the short form plays half of them."""
    trouble_s = TROUBLE_LONG_S if size > SHORT else TROUBLE_SHORT_S
    some = len(MODEL) if size > SHORT else len(MODEL) // 2
    for number, conduct in enumerate(chance.sample(ACTIONS, min(some, len(ACTIONS)))):
        world.outside.actions.otherwise = conduct
        world.send(draw(f"{NAME}-actions-{number}", EVENTS, chance, WAITING), over_s=trouble_s / 2)
        _pass(world, trouble_s, chance)
        world.outside.actions.otherwise = action_server.ANSWER
    with _away(world):
        world.send(draw(f"{NAME}-away", EVENTS, chance, WAITING))
        _pass(world, trouble_s, chance)
    # They are to have trouble with their actions alone.
    sent = sum(one.source.startswith(NAME) for one in world.sent)
    world.until(lambda: _decided(world) >= sent, DECIDED_WITHIN_S, poll_s=0.5)
    for number, step in enumerate(chance.sample(MODEL, some)):
        world.outside.model.usual, usual = step, world.outside.model.usual
        world.send(draw(f"{NAME}-model-{number}", EVENTS, chance, (UNANSWERED,)), over_s=trouble_s / 2)
        _pass(world, trouble_s, chance)
        world.outside.model.usual = usual


def _decided(world: World) -> int:
    where = f"kind = 'decided' AND startsWith(event_source, '{NAME}')"
    [(count,)] = world.rows(f"SELECT uniqExact(event_source, event_id) FROM records WHERE {where}")
    return int(count)


def _pass(world: World, trouble_s: float, chance: Random) -> None:
    before_s = chance.uniform(0.0, trouble_s)
    world.pause(before_s)
    world.fleet.kill(chance.choice(("decide-0", "decide-1", "act-0", "act-1")))
    world.pause(trouble_s - before_s)


@contextmanager
def _away(world: World) -> Iterator[None]:
    """Stop the action server."""
    actions = world.outside.actions
    port = urlsplit(actions.url).port
    assert port is not None
    world.outside.run(actions.stop())
    try:
        yield
    finally:
        world.outside.run(actions.start(port))


SCENARIO = Scenario(NAME, play)
