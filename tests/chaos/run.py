"""Plays scenarios on a pipeline of their own and says what was found. Called by the command and by the short test."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic

from nightdesk.local.stack import LocalStack
from tests.chaos.checker import violations
from tests.chaos.gather import gather
from tests.chaos.outside import Outside
from tests.chaos.scenario import Scenario
from tests.chaos.world import running_world, tell


@dataclass(frozen=True)
class Outcome:
    """What a run came to. `faults` are what was done to the processes, `exits` how they ended."""

    faults: Counter[str]
    exits: Counter[int]
    events: int
    actions: int
    violations: tuple[str, ...]

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.faults + other.faults,
            self.exits + other.exits,
            self.events + other.events,
            self.actions + other.actions,
            self.violations + other.violations,
        )

    def line(self) -> str:
        """The last line of a run."""
        kills, wrong = self.faults.total(), len(self.violations)
        return f"kills: {kills}, events: {self.events}, actions: {self.actions}, violations: {wrong}"


NOTHING = Outcome(Counter(), Counter(), 0, 0, ())


def run(stack: LocalStack, scenarios: Sequence[Scenario], seed: int, size: int, logs: Path) -> Outcome:
    """Play the scenarios one after the other on one pipeline; check when it is calm."""
    with Outside() as outside, running_world(stack, outside, logs) as world:
        for scenario in scenarios:
            began = monotonic()
            # By the name too, so that a scenario alone does what it does among others.
            scenario.play(world, size, Random(f"{seed} {scenario.name}"))
            tell(f"{scenario.name}: played in {monotonic() - began:.0f} s, faults so far: {dict(world.fleet.faults)}")
        began = monotonic()
        world.calm()
        tell(f"calm after {monotonic() - began:.0f} s, exits: {dict(world.fleet.exits)}")
        world.fleet.stop()
        facts = gather(world)
        more = [check for scenario in scenarios for check in scenario.checks]
        return Outcome(
            world.fleet.faults,
            world.fleet.exits,
            events=len(facts.sent) + len(facts.poison),
            actions=len(facts.effects),
            violations=tuple(violations(facts, more)),
        )
