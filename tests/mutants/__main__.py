"""`python -m tests.mutants [--count N] [--seed SEED] [--packages …]`: how many small faults the tests find.

The faults are drawn at random from all possible ones; the same seed draws the same. The output lists those that were
not found: for each of them either a test is missing, or the fault changes nothing that anybody can see. Those that are
known to change nothing (`tests/mutants/equivalent.toml`) are not counted.

Which tests execute which lines is measured once and kept in `.mutants/`; `--measure` does it again. Tests that start
other processes are not tried with the faults of these, so the score is at least this.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from tests.mutants.equivalent import equivalents
from tests.mutants.measured import Measured, measure
from tests.mutants.places import PACKAGES, ROOT, Place, drawn, package_of
from tests.mutants.trial import Trials, Verdict, copy_of_the_repository
from tests.mutants.warm import How

MEASURED = ROOT / ".mutants" / "tests.json"


def main() -> int:
    arguments = _parser().parse_args()
    measured = measure(MEASURED) if arguments.measure or not MEASURED.exists() else Measured(MEASURED)
    known = equivalents()
    chosen = drawn(tuple(arguments.packages), arguments.count, arguments.seed)
    counted = [place for place in chosen if not any(one.is_of(place) for one in known)]
    with copy_of_the_repository() as copy:
        verdicts = list(_shown(Trials(copy, measured, arguments.cpu_s), counted))
    print(score(verdicts))
    print(f"{len(chosen) - len(counted)} of {len(chosen)} change nothing and are not counted")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--packages", nargs="+", choices=PACKAGES, default=PACKAGES, metavar="PACKAGE")
    parser.add_argument("--cpu-s", type=float, default=60.0, help="the longest that the tests of one fault may take")
    parser.add_argument("--measure", action="store_true", help="measure the tests again")
    return parser


def _shown(trials: Trials, places: list[Place]) -> Iterator[Verdict]:
    """Each verdict, which is printed; Ctrl-C ends the run, and those before it count."""
    with suppress(KeyboardInterrupt):
        for verdict in trials.verdicts(places):
            print(_row(verdict), flush=True)
            yield verdict


def score(verdicts: list[Verdict]) -> str:
    """Found and tried faults, by package and in total, and how they were found."""
    tries = Counter(package_of(verdict.module) for verdict in verdicts)
    finds = Counter(package_of(verdict.module) for verdict in verdicts if verdict.how.is_found)
    counts = [(name, finds[name], tries[name]) for name in PACKAGES if tries[name]]
    counts.append(("all", finds.total(), tries.total()))
    rows = [f"{name:16} {found:4} of {of:4}  {100 * found // max(of, 1)} %" for name, found, of in counts]
    hows = Counter(verdict.how for verdict in verdicts)
    return "\n".join([*rows, ", ".join(f"{how.value}: {hows[how]}" for how in How if hows[how])])


def _row(verdict: Verdict) -> str:
    fault = verdict.fault
    found = "found" if verdict.how.is_found else "NOT FOUND"
    place = f"{verdict.module}:{fault.line} {fault.kind} -> {fault.text[:60]!r}"
    return f"{place}: {found}: {verdict.how.value} {verdict.by}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
