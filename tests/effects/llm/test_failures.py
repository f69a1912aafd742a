"""The table of statuses that the contract tests do not cover."""

import pytest

from nightdesk.effects.llm.failures import kind_of_status, retry_after_seconds
from nightdesk.effects.llm.protocol import MEANINGS, Kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, Kind.MALFORMED_HTTP),
        (400, Kind.REJECTED),
        (402, Kind.AUTHENTICATION),
        (404, Kind.REJECTED),
        (408, Kind.TIMEOUT),
        (413, Kind.CONTEXT_EXCEEDED),
        (500, Kind.SERVER_ERROR),
        (503, Kind.SERVER_ERROR),
        (504, Kind.TIMEOUT),
        (529, Kind.OVERLOADED),
        (599, Kind.SERVER_ERROR),
    ],
)
def test_each_status_has_its_kind(status: int, kind: Kind) -> None:
    assert kind_of_status(status, "the prompt was fine") is kind


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("0.5", 0.5), ("-1", 0.0), ("Sun, 22 Nov 2026", 0.0), ("inf", 0.0), ("nan", 0.0)]
)
def test_retry_after_is_never_a_surprise(value: str, seconds: float) -> None:
    assert retry_after_seconds({"retry-after": value}) == seconds
    assert retry_after_seconds({}) == 0.0


def test_each_kind_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Kind)
