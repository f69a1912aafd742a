"""Reasons that differ in names and numbers only are counted together."""

import pytest

from nightdesk.processors.reasons import REASON_CHARACTERS_AT_MOST, REASONS_AT_MOST, ReasonCount, Reasons


def counted(*reasons: str) -> tuple[ReasonCount, ...]:
    found = Reasons()
    for reason in reasons:
        found.add(reason)
    return found.most_frequent()


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (
            'nobody answered whether to refund {"amount":9.5} before 2026-11-30 22:59 UTC',
            'nobody answered whether to refund {"amount":{"usd":7}} before 2026-12-01 01:00 UTC',
            "nobody answered whether to refund … before … UTC",
        ),
        (
            "$0.10 is needed and $0.09 of the day's $5 is left",
            "$0.2 is needed and $0.00 of the day's $5 is left",
            "… is needed and … of the day's … is left",
        ),
        ('amount: "39,90" is no number', 'amount: "x" is no number', "amount: … is no number"),
        ("the event came 26.5 hours ago", "the event came 30.1 hours ago", "the event came … hours ago"),
        (
            "event 0f8fad5b-d9cb-469f-a165-70867728950e came",
            "event 7c9e6679-7425-40de-944b-e07fc1f90ae7 came",
            "event … came",
        ),
    ],
)
def test_what_differs_is_left_out(one: str, other: str, alike: str) -> None:
    assert counted(one, other) == (ReasonCount(alike, 2),)
    assert counted(one, one) == (ReasonCount(one, 2),), "nothing differs"


def test_the_most_frequent_come_first_and_a_status_tells_two_apart() -> None:
    assert counted("failed: HTTP 400", "failed: HTTP 503", "failed: HTTP 503") == (
        ReasonCount("failed: HTTP 503", 2),
        ReasonCount("failed: HTTP 400", 1),
    )


def test_they_are_few_and_short() -> None:
    found = counted(*("word" * (n + 40) for n in range(10)))
    assert len(found) == REASONS_AT_MOST
    assert {len(reason) for reason, _ in found} == {REASON_CHARACTERS_AT_MOST}
