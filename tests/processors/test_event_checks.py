"""An event with impossible attributes is refused with advice."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from nightdesk.processors.event_checks import AHEAD_AT_MOST, ATTRIBUTES, problem_with, unusual_time
from tests.processors.examples import NOW, event

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def _problem(**changes: object) -> str | None:
    return problem_with(event().model_copy(update=changes), NOW)


@pytest.mark.parametrize("name", ATTRIBUTES)
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        (" \t", "is empty"),
        ("a\x00b", "has U+0000 at character 2"),
        ("a\x1f", "has U+001F"),
        ("\x7fa", "has U+007F at character 1"),
        ("a\u009bm", "has U+009B"),
        ("a\ufdd0", "has U+FDD0"),
        ("a\ufffe", "has U+FFFE"),
        ("a\U0010ffff", "has U+10FFFF"),
        ("a\n", "has U+000A"),
    ],
)
def test_an_attribute_that_cannot_be_carried(name: str, text: str, says: str) -> None:
    assert f"{name} {says}" in (_problem(**{name: text}) or "")


@pytest.mark.parametrize("name", ATTRIBUTES)
@pytest.mark.parametrize("text", ["a", "ä ö", "a|b/c:1", "\u00a0x", "日本", "🙂", "[/quote]", "\ufffd"])
def test_an_attribute_that_can(name: str, text: str) -> None:
    assert _problem(**{name: text}) is None


@pytest.mark.parametrize(
    ("time", "says"),
    [
        (EPOCH + NOW.timestamp() * 1_000 * MICROSECOND, "milliseconds were sent instead of microseconds"),
        (EPOCH + NOW.timestamp() * MICROSECOND, "seconds were sent instead of microseconds"),
        (EPOCH, "before 2000"),
        (datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC), "before 2000"),
        (datetime(9999, 1, 1, tzinfo=UTC), "days ahead"),
        (NOW + AHEAD_AT_MOST + MICROSECOND, "days ahead"),
        (datetime(2026, 11, 20, 12, 0), "has no time zone"),  # noqa: DTZ001 - what is refused
    ],
)
def test_a_time_that_cannot_be_right(time: datetime, says: str) -> None:
    assert says in (_problem(time=time) or "")


@pytest.mark.parametrize(
    "time",
    [
        NOW,
        NOW + AHEAD_AT_MOST,
        datetime(2000, 1, 1, tzinfo=UTC),
        datetime(2026, 11, 20, 23, 0, tzinfo=timezone(timedelta(hours=14))),
    ],
)
def test_a_time_that_can_be_right(time: datetime) -> None:
    assert _problem(time=time) is None


@pytest.mark.parametrize(
    ("ahead", "says"),
    [
        (timedelta(0), ""),
        (timedelta(hours=1), ""),
        (timedelta(hours=-72), ""),
        (timedelta(hours=2), "the event says that it happens in 2 hours: the producer's clock may be wrong"),
        (timedelta(days=200), "the event says that it happens in 200 days: the producer's clock may be wrong"),
        (timedelta(days=-400), "the event says that it happened 400 days before it came"),
        (timedelta(hours=-73), "the event says that it happened 3 days before it came"),
    ],
)
def test_a_time_that_a_person_should_know_of(ahead: timedelta, says: str) -> None:
    assert unusual_time(event().model_copy(update={"time": NOW + ahead}), NOW) == says
