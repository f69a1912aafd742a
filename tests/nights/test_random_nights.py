"""What must hold of every night holds of nights that seeds draw. More of them: `make night RANDOM_NIGHTS=1000`."""

import pytest

from tests.nights.checks import violations
from tests.nights.play import play
from tests.nights.random_nights import draw

SEEDS = 15


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_ends_silently_is_done_twice_or_overspends(seed: int) -> None:
    assert violations(play(draw(seed), seed).desk) == []
