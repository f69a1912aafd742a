"""Plays scenarios on a pipeline of their own and reports violations."""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic

from nightdesk.local.stack import LocalStack
from tests.chaos import quarantine
from tests.chaos.checker import violations
from tests.chaos.gather import gather
from tests.chaos.kafka_proxy import KafkaProxy
from tests.chaos.outside import Outside
from tests.chaos.scenario import SHORT, Scenario
from tests.chaos.world import CALM_WITHIN_S, running_world, tell


@dataclass(frozen=True)
class Outcome:
    """The result of a run. `faults` counts what was done to the processes and what the outside answered wrongly;
    `exits` counts how the processes ended.
    """

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
        """The last line of the output."""
        wrong = len(self.violations)
        return f"faults: {self.faults.total()}, events: {self.events}, actions: {self.actions}, violations: {wrong}"


def in_groups(scenarios: Sequence[Scenario], size: int) -> list[list[Scenario]]:
    """Which scenarios share a pipeline. Short: all of them, behind a proxy if one of them needs it. Long: none."""
    return [list(scenarios)] if size <= SHORT else [[scenario] for scenario in scenarios]


NOTHING = Outcome(Counter(), Counter(), 0, 0, ())


def run(
    stack: LocalStack,
    scenarios: Sequence[Scenario],
    seed: int,
    size: int,
    logs: Path,
    calm_within_s: float = CALM_WITHIN_S,
) -> Outcome:
    """Play the scenarios one after the other on one pipeline, and check the result when it is idle."""
    with ExitStack() as opened:
        outside = opened.enter_context(Outside())
        proxied = any(scenario.proxied for scenario in scenarios)
        broker = stack.settings.kafka.bootstrap_servers
        proxy = opened.enter_context(KafkaProxy(broker)) if proxied else None
        world = opened.enter_context(running_world(stack, outside, logs, proxy))
        for scenario in scenarios:
            began = monotonic()
            # By the name too, so that a scenario alone does what it does among others.
            scenario.play(world, size, Random(f"{seed} {scenario.name}"))
            tell(f"{scenario.name}: played in {monotonic() - began:.0f} s, faults so far: {dict(world.fleet.faults)}")
        began = monotonic()
        world.calm(calm_within_s)
        if replayed := quarantine.replay(world, calm_within_s):
            tell(f"replayed {replayed} records that were in quarantine")
            world.calm(calm_within_s)
        tell(f"calm after {monotonic() - began:.0f} s, exits: {dict(world.fleet.exits)}")
        world.fleet.stop()
        assert len({(one.source, one.number) for one in world.sent}) == len(world.sent), "two sources have one name"
        facts = gather(world)
        more = [check for scenario in scenarios for check in scenario.checks]
        return Outcome(
            world.fleet.faults,
            world.fleet.exits,
            events=len(facts.sent) + len(facts.poison),
            actions=len(facts.effects),
            violations=tuple(violations(facts, more)),
        )
