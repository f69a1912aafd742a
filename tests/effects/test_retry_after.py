"""How long another system can make us wait."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.effects.retry_after import AT_MOST_S, retry_after_seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("1.5", 1.5),
        ("3600", 3600),
        ("3601", AT_MOST_S),
        ("100000000000000000000", AT_MOST_S),
        ("1e20", AT_MOST_S),
        ("9" * 400, None),
        ("inf", None),
        ("-inf", None),
        ("nan", None),
        ("-1", None),
        ("1_0", None),
        ("²", None),
        ("", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        (None, None),
    ],
)
def test_a_wish_has_a_bound(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header) == seconds


@given(st.text() | st.floats().map(str) | st.integers().map(str))
def test_no_text_raises_or_passes_the_bound(header: str) -> None:
    seconds = retry_after_seconds(header)
    assert seconds is None or (math.isfinite(seconds) and 0 <= seconds <= AT_MOST_S)
