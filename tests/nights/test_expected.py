"""The expected table finds what is not in it."""

import pytest
from pydantic import ValidationError

from tests.nights.expected import Expected, compared


def test_what_is_not_named_is_not_to_happen_and_what_is_named_is_within_its_range() -> None:
    expected = Expected.model_validate(
        {"ended": {"completed": "2..4", "escalated": "..1", "refused": 3, "failed": "1.."}}
    )
    assert list(compared("ended", {"completed": 3, "refused": 3, "failed": 9}, expected.ended)) == []
    assert list(compared("ended", {"completed": 5, "escalated": 2, "refused": 2, "lost": 1}, expected.ended)) == [
        "ended completed: 5, expected 2 to 4",
        "ended escalated: 2, expected 0 to 1",
        "ended failed: 0, expected 1 to inf",
        "ended lost: 1, expected 0 to 0",
        "ended refused: 2, expected 3 to 3",
    ]


def test_a_wait_has_units() -> None:
    assert Expected.model_validate({"ended": {}, "longest_waits": {"waiting": "4h..270m"}}).longest_waits[
        "waiting"
    ] == (
        4 * 3600,
        270 * 60,
    )


@pytest.mark.parametrize("wrong", ["many", "2-3", None, "x..3"])
def test_what_is_no_range_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        Expected.model_validate({"ended": {"completed": wrong}})
