"""Three thousand small worlds, each with different faults, have no violation. `make simulate` plays a hundred
thousand. `make test-fast` leaves simulated worlds out, and `make mutants` plays three hundred.
"""

import pytest

from tests.effort import examples
from tests.simulator.play import play, play_all, play_on_every_core

SEEDS = 3_000


@pytest.mark.timeout(1800)  # under a minute here; a machine may be slow, and others may be on it
def test_in_three_thousand_worlds_all_is_well() -> None:
    wrong = next((played for played in play_on_every_core(range(examples(SEEDS))) if played.violations), None)
    assert wrong is None, str(wrong)


def test_a_seed_is_the_same_world_again() -> None:
    assert play(7, story=True) == play(7, story=True)


def test_worlds_are_broken_enough() -> None:
    """Most have a process that dies, and none runs without a fault."""
    played = list(play_all(range(100)))
    assert sum(each.deaths > 0 for each in played) > 50
    assert all(each.moves > 20 for each in played)
