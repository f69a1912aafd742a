"""`python -m tests.protections [PROTECTION ...]`: removes each protection, and shows that a scenario notices.

The exit status is 1 if a scenario finds a violation with all protections, or none without one.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from nightdesk.local.stack import LocalStack
from tests.protections.trial import Ground, Verdict
from tests.protections.trials import TRIALS, played

ROW = "{:22} {:26} {:8} {}"


def main() -> int:
    names = {trial.protection for trial in TRIALS}
    parser = argparse.ArgumentParser(prog="python -m tests.protections", description=__doc__)
    parser.add_argument("protections", nargs="*", metavar="PROTECTION", help=f"of {', '.join(sorted(names))}")
    asked = set(parser.parse_args().protections) or names
    if not asked <= names:
        parser.error(f"no protection {', '.join(asked - names)}: they are {', '.join(sorted(names))}")
    home = Path(tempfile.mkdtemp(prefix="nightdesk-protections-"))
    print(f"logs: {home}", file=sys.stderr)
    verdicts = []
    with LocalStack.on_free_ports(home) as stack:
        ground = Ground(stack.settings.kafka.bootstrap_servers, home)
        trials = tuple(trial for trial in TRIALS if trial.protection in asked)
        print(ROW.format("protection", "scenario", "with it", "without it"))
        with played(trials, ground) as coming:
            for verdict in coming.values():
                verdicts.append(verdict())
                print(_row(verdicts[-1]), flush=True)
    needed = sum(verdict.is_needed for verdict in verdicts)
    print(f"{needed} of {len(verdicts)} scenarios end well with the protection and badly without it")
    return 0 if needed == len(verdicts) else 1


def _row(verdict: Verdict) -> str:
    trial = verdict.trial
    found = [", ".join(found) or "well" for found in (verdict.with_it, verdict.without_it)]
    return ROW.format(trial.protection, trial.scenario, *found)


if __name__ == "__main__":
    sys.exit(main())
