"""`python -m tests.nights NIGHT`: plays one night and prints its table. `--random N` plays nights that seeds draw.

Exit status 1 if something is wrong with a night; each is named with the command that plays it again.
"""

import argparse
import sys
from zoneinfo import ZoneInfo

from nightdesk.commands.night import print_night
from nightdesk.output import print_line
from tests.nights.checks import violations
from tests.nights.night import Night, load, long_names, names
from tests.nights.play import play, unexpected
from tests.nights.random_nights import draw


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.nights", description=__doc__)
    parser.add_argument(
        "night", nargs="?", choices=(*names(), *long_names()), help="the night to play; without one the seed draws it"
    )
    parser.add_argument("--seed", type=int, default=1, help="what chance decides (1)")
    parser.add_argument("--random", type=int, metavar="N", help="play so many nights, from this seed on")
    arguments = parser.parse_args()
    if arguments.random:
        return _many(range(arguments.seed, arguments.seed + arguments.random))
    return _one(load(arguments.night) if arguments.night else draw(arguments.seed), arguments.seed)


def _one(night: Night, seed: int) -> int:
    played = play(night, seed)
    print_line(night.title)
    print_night(played.report, ZoneInfo(night.time_zone))
    done = ", ".join(f"{handler} {count}" for handler, count in sorted(played.desk.systems.done().items()))
    print_line()
    print_line(f"done by the systems: {done}")
    wrong = [*violations(played.desk), *(unexpected(played) if seed == 1 else ())]
    for line in wrong:
        print_line(line)
    return 1 if wrong else 0


def _many(seeds: range) -> int:
    bad = events = 0
    for seed in seeds:
        played = play(draw(seed), seed)
        wrong = violations(played.desk)
        events, bad = events + played.report.events, bad + bool(wrong)
        for line in wrong:
            print_line(f"seed {seed}: {line}")
        if wrong:
            print_line(f"again: python -m tests.nights --seed {seed}")
    print_line(f"nights: {len(seeds)}, events: {events}, with violations: {bad}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
