"""`python -m tests.mutants [--count N] [--seed SEED] [--packages …] [--near | --own]`: how many small faults the tests
find.

The faults are drawn at random from all possible ones; the same seed draws the same. The output lists those that were
not found: for each of them either a test is missing, or the fault changes nothing that anybody can see. First all tests
have to pass without a fault.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.mutants.faults import Fault, faults
from tests.mutants.trial import ROOT, Reach, Verdict, copy_of_the_repository, first_failure, rounds_of, tried

PACKAGES = ("schemas", "messaging", "processors", "effects", "streams", "sinks", "operations", "console", "nightdesk")
# What starts other programs: only tests with a broker run it.
LEFT_OUT = ("nightdesk/local", "nightdesk/__main__.py")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--packages", nargs="+", choices=PACKAGES, default=PACKAGES, metavar="PACKAGE")
    narrower = parser.add_mutually_exclusive_group()
    for fewer, which in ((Reach.NEAR, "import or mirror"), (Reach.OWN, "import")):
        narrower.add_argument(
            f"--{fewer.value}",
            dest="reach",
            action="store_const",
            const=fewer,
            help=f"only the tests that {which} the module: the score is at least this",
        )
    parser.add_argument("--from-sound", action="store_true", help="it is known that all tests pass without a fault")
    arguments = parser.parse_args()
    chosen = drawn(arguments.packages, arguments.count, arguments.seed)
    with copy_of_the_repository() as copy:
        reach: Reach = arguments.reach or Reach.ALL
        every = {tests for module, _ in chosen for tests in rounds_of(copy, module, reach) if tests}
        tried_first = [] if arguments.from_sound else [("tests",)] if reach is Reach.ALL else sorted(every)
        if failed := next(filter(None, (first_failure(copy, *tests) for tests in tried_first)), ""):
            print(f"without any fault a test fails: {failed}", file=sys.stderr)
            return 2
        print(score(list(_verdicts(copy, chosen, reach))))
    return 0


def _verdicts(copy: Path, chosen: list[tuple[str, Fault]], reach: Reach) -> Iterator[Verdict]:
    """Each fault's, which is printed; Ctrl-C ends the run, and those before it count."""
    with suppress(KeyboardInterrupt):
        for module, fault in chosen:
            verdict = tried(copy, module, fault, reach)
            print(_row(verdict), flush=True)
            yield verdict


def drawn(packages: tuple[str, ...], count: int, seed: int) -> list[tuple[str, Fault]]:
    """Draw `count` faults from the packages' modules, each place with the same probability."""
    places = [
        (str(file.relative_to(ROOT)), fault)
        for package in packages
        for file in sorted((ROOT / package).rglob("*.py"))
        if not str(file.relative_to(ROOT)).startswith(LEFT_OUT)
        for fault in faults(file.read_text())
    ]
    return random.Random(seed).sample(places, min(count, len(places)))


def score(verdicts: list[Verdict]) -> str:
    """Found and tried faults, by package and in total."""
    tries, finds = Counter[str](), Counter[str]()
    for verdict in verdicts:
        package = next(name for name in PACKAGES if verdict.module.startswith(f"{name}/"))
        for name in (package, "all"):
            tries[name] += 1
            finds[name] += verdict.caught
    rows = [(name, finds[name], tries[name]) for name in (*PACKAGES, "all") if tries[name]]
    return "\n".join(f"{name:16} {found:4} of {of:4}  {100 * found // of} %" for name, found, of in rows)


def _row(verdict: Verdict) -> str:
    fault = verdict.fault
    found = f"found by {verdict.by}" if verdict.caught else "NOT FOUND"
    return f"{verdict.module}:{fault.line} {fault.kind} -> {fault.text[:60]!r}: {found}"


if __name__ == "__main__":
    sys.exit(main())
