"""The bounds are those that the guide names, and each is exact."""

import re
from pathlib import Path

import pytest

from nightdesk.schemas import bounds
from nightdesk.schemas.bounds import OutOfBounds, check

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "dead-letters.md"
HEADERS = bounds.HEADERS_AT_MOST + bounds.OUR_HEADERS_AT_MOST
HEADER_BYTES = bounds.HEADER_BYTES_AT_MOST + bounds.OUR_HEADER_BYTES_AT_MOST

Sizes = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]


def test_the_guide_names_the_bounds() -> None:
    guide = re.sub(r"\s+", " ", GUIDE.read_text())
    for named in (
        f"an event has at most {bounds.EVENT_BYTES_AT_MOST / 1e6} MB",
        f"its data {bounds.TEXT_CHARACTERS_AT_MOST / 1e6:g} MB",
        f"subject {bounds.NAME_CHARACTERS_AT_MOST:,} characters",
        f"the Kafka key {bounds.KEY_BYTES_AT_MOST / 1024:g} kB",
        f"the headers {bounds.HEADER_BYTES_AT_MOST / 1e3:g} kB and a hundred of them",
        f"`NIGHTDESK_WORKER__DEAD_LETTER_BYTES`, {bounds.DEAD_LETTER_BYTES_AT_MOST / 1e6} MB",
    ):
        assert named in guide
    assert bounds.HEADERS_AT_MOST == 100


def test_an_event_fits_into_the_records_that_nest_it() -> None:
    """Beside its data, an event has names; JSON escapes at most double the data once."""
    names = 5 * 4 * bounds.NAME_CHARACTERS_AT_MOST
    assert bounds.TEXT_CHARACTERS_AT_MOST + names < bounds.EVENT_BYTES_AT_MOST
    assert 2 * bounds.EVENT_BYTES_AT_MOST + bounds.TEXT_CHARACTERS_AT_MOST < bounds.RECORD_BYTES_AT_MOST
    assert bounds.RECORD_BYTES_AT_MOST + HEADER_BYTES < bounds.DEAD_LETTER_BYTES_AT_MOST


NAME = "n" * bounds.HEADER_NAME_CHARACTERS_AT_MOST
KEY = b"k" * bounds.KEY_BYTES_AT_MOST
MOST = b"v" * (HEADER_BYTES - 1)


@pytest.mark.parametrize(
    ("fits", "reason", "too_large"),
    [
        ((None, b"v" * 50, ()), "the record has 51 bytes", (None, b"v" * 51, ())),
        ((KEY, None, ()), "the Kafka key has", (KEY + b"k", None, ())),
        ((None, b"", (("n", b""),) * HEADERS), f"{HEADERS + 1} headers", (None, b"", (("n", b""),) * (HEADERS + 1))),
        ((None, b"", ((NAME, None),)), "a header's name", (None, b"", ((NAME + "n", None),))),
        ((None, b"", (("n", MOST),)), f"the headers have {HEADER_BYTES + 1}", (None, b"", (("ü", MOST),))),
    ],
)
def test_each_bound_is_exact(fits: Sizes, reason: str, too_large: Sizes) -> None:
    check(*fits, 50)
    with pytest.raises(OutOfBounds, match=reason):
        check(*too_large, 50)
