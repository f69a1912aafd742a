"""What people type: times, days, amounts, statuses, parameters.

What makes no sense is a failure that says what to write.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.approvals import edited_parameters
from nightdesk.operations.balances import balance_day
from nightdesk.operations.cases import parse_statuses
from nightdesk.operations.corrections import microusd
from nightdesk.operations.times import moment

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TODAY = NOW.date()


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", None),
        ("2h", NOW - timedelta(hours=2)),
        ("24h", NOW - timedelta(days=1)),
        ("2026-11-23T08:00", datetime(2026, 11, 23, 8, tzinfo=UTC)),
        ("2026-11-23T08:00+01:00", datetime(2026, 11, 23, 7, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("1900-01-01", datetime(1900, 1, 1, tzinfo=UTC)),
        ("2200-12-31", datetime(2200, 12, 31, tzinfo=UTC)),
    ],
)
def test_a_time_or_how_long_ago(text: str, at: datetime | None) -> None:
    assert moment(text, NOW) == at


def test_dollars_are_exact() -> None:
    assert [microusd(text) for text in ("0", "0.0123", "39.9", "1e3")] == [0, 12_300, 39_900_000, 1_000_000_000]


def test_the_days_that_the_budget_remembers() -> None:
    assert [balance_day(text, TODAY) for text in ("", "2026-11-23", "2026-11-22")] == [None, TODAY, date(2026, 11, 22)]


def test_statuses_with_commas_between() -> None:
    assert parse_statuses(" failed, rejected,failed,") == ("failed", "rejected")
    assert parse_statuses("") == ()


def test_parameters_are_an_object() -> None:
    assert edited_parameters('{"amount": 10.5}') == '{"amount": 10.5}'


@pytest.mark.parametrize(
    ("parse", "kind"),
    [
        (lambda: moment("soon", NOW), FailureKind.INVALID),
        (lambda: moment("0001-01-01T00:00+14:00", NOW), FailureKind.INVALID),
        (lambda: moment("9999-12-31T23:59:59-12:00", NOW), FailureKind.INVALID),
        (lambda: moment("1899-12-31", NOW), FailureKind.INVALID),
        (lambda: moment("2201-01-01", NOW), FailureKind.INVALID),
        (lambda: microusd("ten"), FailureKind.INVALID),
        (lambda: microusd("-1"), FailureKind.INVALID),
        (lambda: microusd("0.0000001"), FailureKind.INVALID),
        (lambda: microusd("NaN"), FailureKind.INVALID),
        (lambda: microusd("Infinity"), FailureKind.INVALID),
        (lambda: microusd("1e30"), FailureKind.INVALID),
        (lambda: balance_day("yesterday", TODAY), FailureKind.INVALID),
        (lambda: balance_day("2026-11-21", TODAY), FailureKind.NOT_FOUND),
        (lambda: parse_statuses("failed,gone"), FailureKind.INVALID),
        (lambda: edited_parameters("[1]"), FailureKind.INVALID),
        (lambda: edited_parameters("{"), FailureKind.INVALID),
        (lambda: edited_parameters('{"a": 1, "a": 2}'), FailureKind.INVALID),
    ],
)
def test_what_makes_no_sense_is_said_with_what_to_write(parse: Callable[[], object], kind: FailureKind) -> None:
    with pytest.raises(Failure) as caught:
        parse()
    assert caught.value.kind is kind
    assert caught.value.remedy
