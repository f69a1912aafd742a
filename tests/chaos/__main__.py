"""`python -m tests.chaos [SCENARIO ...]`, which is `make chaos`: break the running pipeline and look what is left.

Short, all scenarios share one pipeline; with a size over the short one each has its own. Exit status 1 when anything
was violated, with the command that repeats it.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from nightdesk.local.stack import LocalStack
from tests.chaos.catalog import SCENARIOS
from tests.chaos.run import NOTHING, Outcome, run
from tests.chaos.scenario import LONG, SHORT, Scenario
from tests.chaos.world import tell


def main() -> int:
    arguments = _arguments()
    scenarios = [one for one in SCENARIOS.values() if one.name in (arguments.scenarios or SCENARIOS)]
    home = Path(tempfile.mkdtemp(prefix="nightdesk-chaos-"))
    tell(f"logs: {home}")
    total = NOTHING
    with LocalStack.on_free_ports(home) as stack:
        for together in _in_groups(scenarios, arguments.size):
            names = " ".join(scenario.name for scenario in together)
            outcome = run(stack, together, arguments.seed, arguments.size, home / together[0].name)
            total += outcome
            _report(outcome, f"python -m tests.chaos {names} --seed {arguments.seed} --size {arguments.size}")
    print(total.line())
    return 1 if total.violations else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; default all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=SHORT, help=f"kills of a storm: {SHORT} is short, {LONG} is long")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario {', '.join(unknown)}: they are {', '.join(SCENARIOS)}")
    return arguments


def _in_groups(scenarios: list[Scenario], size: int) -> list[list[Scenario]]:
    return [scenarios] if size <= SHORT else [[scenario] for scenario in scenarios]


def _report(outcome: Outcome, command: str) -> None:
    for violation in outcome.violations:
        print(violation)
    if outcome.violations:
        print(f"repeat: {command}")


if __name__ == "__main__":
    sys.exit(main())
