"""`python -m tests.chaos [SCENARIO ...]`, which `make chaos` calls: breaks the running pipeline and checks the result.

In the short form all scenarios share one pipeline, behind a proxy if one of them cuts connections. With a size over the
short one each scenario has a pipeline of its own. The exit status is 1 if anything was violated; the output then has
the command that repeats the run.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from nightdesk.local.stack import LocalStack
from tests.chaos.catalog import SCENARIOS
from tests.chaos.run import NOTHING, Outcome, in_groups, run
from tests.chaos.scenario import LONG, SHORT
from tests.chaos.world import CALM_WITHIN_S, tell


def main() -> int:
    arguments = _arguments()
    scenarios = [one for one in SCENARIOS.values() if one.name in (arguments.scenarios or SCENARIOS)]
    home = Path(tempfile.mkdtemp(prefix="nightdesk-chaos-"))
    tell(f"logs: {home}")
    total = NOTHING
    with LocalStack.on_free_ports(home) as stack:
        for together in in_groups(scenarios, arguments.size):
            names = " ".join(scenario.name for scenario in together)
            outcome = run(
                stack, together, arguments.seed, arguments.size, home / together[0].name, arguments.calm_within_s
            )
            total += outcome
            _report(outcome, f"python -m tests.chaos {names} --seed {arguments.seed} --size {arguments.size}")
    print(total.line())
    return 1 if total.violations else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; default all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=SHORT, help=f"kills of a storm: {SHORT} is short, {LONG} is long")
    parser.add_argument(
        "--calm-within-s",
        type=float,
        default=CALM_WITHIN_S,
        help="how long the rest may take afterwards (busy machine)",
    )
    arguments = parser.parse_args()
    unknown = [name for name in arguments.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario {', '.join(unknown)}: they are {', '.join(SCENARIOS)}")
    return arguments


def _report(outcome: Outcome, command: str) -> None:
    for violation in outcome.violations:
        print(violation)
    if outcome.violations:
        print(f"repeat: {command}")


if __name__ == "__main__":
    sys.exit(main())
