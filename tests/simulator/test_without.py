"""The simulator can fail: without any one protection, one of the ten thousand worlds has a violation."""

from itertools import chain

import pytest

from tests.simulator import without
from tests.simulator.play import play_all
from tests.simulator.test_seeds import SEEDS

# Worlds that miss a protection which few others miss. If one no longer does, all worlds are searched.
FOUND_BY = {"in_order_acks": [5883], "kill_switch": [6434]}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("protection", without.BY_NAME)
def test_a_protection_that_is_gone_is_missed(protection: str) -> None:
    with without.BY_NAME[protection]():
        assert any(played.violations for played in play_all(chain(FOUND_BY.get(protection, []), range(SEEDS))))
