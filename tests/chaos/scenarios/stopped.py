"""`stop-all` while one worker of act and one of decide cannot read orders, because their connections to `control` are
held.

No call may begin once the order's bound is over, the command must name the workers that have not confirmed, and `stop
verify` must find them confirmed when the network is back. The other worker of act is killed before it can read the
order, and is not started again: `stop verify` must find it replaced, once its session has ended and the first has its
partitions. Then everything continues.
"""

import json
import time
from dataclasses import replace
from random import Random
from typing import Any

from nightdesk.exit_codes import EXIT_CODES
from nightdesk.messaging.failures import FailureKind
from nightdesk.operations.stops import active_stops
from tests.chaos.events import ANSWER, APPEND, draw
from tests.chaos.kafka_proxy import Role
from tests.chaos.scenario import SHORT, Scenario
from tests.chaos.world import World

NAME = "stopped"
EVENTS_SHORT, EVENTS_LONG = 200, 2000
DEAF = ("act-0", "decide-0")
KILLED = "act-1"
BOUND_S = 5.0
# A call that began within the bound arrives a little later, on a machine that is busy.
ARRIVES_WITHIN_S = 2.0
STOPPED_S = 15.0
ACTING_WITHIN_S = 60.0
# What the order held back comes again through timers, and what came meanwhile overtakes it.
KINDS = tuple(replace(kind, ordered=False) for kind in (ANSWER, APPEND))


def play(world: World, size: int, chance: Random) -> None:
    """Hold, give the order, count; heal, verify, resume."""
    assert world.proxy is not None
    events = draw(NAME, EVENTS_LONG if size > SHORT else EVENTS_SHORT, chance, KINDS)
    world.send(events, over_s=30.0)
    if not world.until(lambda: _acted_after(world, 0.0) > 0, ACTING_WITHIN_S):
        world.observed.append(f"{NAME}: nothing acts")
    for worker in DEAF:
        world.proxy.hold(worker, Role.CONTROL)
        world.fleet.faults["deaf"] += 1
    world.fleet.dismiss(KILLED, kill=True)
    ended, told = _nightdesk(world, "stop-all", "--wait", "--timeout", "10", "--reason", NAME)
    unconfirmed = {each["worker"] for each in told["workers"] if each["status"] == "waiting"}
    if ended != EXIT_CODES[FailureKind.NOT_READY] or unconfirmed != {
        f"{name.partition('-')[0]}/{name}" for name in DEAF
    }:
        world.observed.append(f"{NAME}: stop-all --wait ended with {ended} and does not confirm {unconfirmed}")
    ordered_at = active_stops(world.settings)["*"].at.timestamp()
    world.pause(max(0.0, ordered_at + STOPPED_S - time.time()))
    late = _acted_after(world, ordered_at + BOUND_S + ARRIVES_WITHIN_S)
    if late:
        world.observed.append(f"{NAME}: {late} effects after the order's bound")
    for worker in DEAF:
        world.proxy.heal(worker, Role.CONTROL)
    ended, told = _nightdesk(world, "stop", "verify", "--timeout", "90")
    status = {each["worker"].partition("/")[2]: each["status"] for each in told.get("workers", ())}
    if ended != 0 or status.get(KILLED) != "replaced" or any(status.get(name) != "obeyed" for name in DEAF):
        world.observed.append(f"{NAME}: stop verify ended with {ended}: {told}")
    world.fleet.take_back(KILLED)
    world.nightdesk("resume", "*")


def _acted_after(world: World, at: float) -> int:
    return sum(effect.source == NAME and effect.at > at for effect in list(world.outside.actions.seen))


def _nightdesk(world: World, *arguments: str) -> tuple[int, dict[str, Any]]:
    ended = world.run_nightdesk(*arguments, "--output", "json")
    return ended.returncode, json.loads(ended.stdout) if ended.stdout else {"said": ended.stderr.decode()}


SCENARIO = Scenario(NAME, play, proxied=True)
