"""Which partitions belong together with those that the group assigned."""

import pytest
from faust.types import TP

from nightdesk.streams.runtime.consuming.assignment import missing


@pytest.mark.parametrize(
    ("assigned", "without"),
    [
        (set(), set()),
        ({TP("a", 0), TP("b", 0), TP("a", 2), TP("b", 2)}, set()),
        ({TP("b", 0)}, {TP("a", 0)}),
        ({TP("a", 0), TP("b", 0), TP("b", 1)}, {TP("a", 1)}),
    ],
)
def test_partitions_of_one_number_belong_together(assigned: set[TP], without: set[TP]) -> None:
    assert missing(assigned, {"a", "b"}) == without
