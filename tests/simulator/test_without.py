"""The simulator can fail: with any protection taken away, one of the ten thousand worlds is found wrong."""

import pytest

from tests.simulator import without
from tests.simulator.play import play_all
from tests.simulator.test_seeds import SEEDS


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("protection", without.BY_NAME)
def test_a_protection_that_is_gone_is_missed(protection: str) -> None:
    with without.BY_NAME[protection]():
        assert any(played.violations for played in play_all(range(SEEDS)))
