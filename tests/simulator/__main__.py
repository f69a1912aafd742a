"""`python -m tests.simulator`: plays many seeds, or prints the story of one.

The exit status is 1 if a world has a violation; the output has the command that repeats each of them.
"""

import argparse
import sys
import time
from contextlib import nullcontext

from tests.simulator import without
from tests.simulator.play import play, play_all


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one")
    parser.add_argument("--trace", action="store_true", help="with --seed: everything that happened, in order")
    parser.add_argument("--seeds", type=int, default=10_000, help="play so many (10000)")
    parser.add_argument("--begin", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--without", choices=without.BY_NAME, help="take a protection away")
    arguments = parser.parse_args()
    with without.BY_NAME[arguments.without]() if arguments.without else nullcontext():
        if arguments.seed is not None:
            return _one(arguments.seed, story=arguments.trace)
        return _many(range(arguments.begin, arguments.begin + arguments.seeds))


def _one(seed: int, *, story: bool) -> int:
    played = play(seed, story=story)
    for line in (*played.story, *played.violations):
        print(line)
    print(f"seed {seed}: violations: {len(played.violations)}")
    return 1 if played.violations else 0


def _many(seeds: range) -> int:
    began, moves, deaths, wrong = time.process_time(), 0, 0, 0
    for played in play_all(seeds):
        moves, deaths, wrong = moves + played.moves, deaths + played.deaths, wrong + bool(played.violations)
        if played.violations:
            print(played, file=sys.stderr)
    seconds = time.process_time() - began
    print(f"seeds: {len(seeds)}, deaths: {deaths}, moves: {moves}, CPU s: {seconds:.1f}, violations: {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
