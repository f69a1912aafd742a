"""Which night is meant."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from nightdesk.messaging.failures import Failure
from nightdesk.operations.nights import machines_time_zone, night_period, time_zone

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "since", "until"),
    [
        ("2026-11-25T09:00", "2026-11-24T17:00", "2026-11-25T07:00"),  # in the morning: the night is over
        ("2026-11-25T02:00", "2026-11-24T17:00", "2026-11-25T02:00"),  # in its midst: until now
        ("2026-11-25T16:00", "2026-11-24T17:00", "2026-11-25T07:00"),  # in the afternoon
        ("2026-11-25T18:00", "2026-11-25T17:00", "2026-11-25T18:00"),  # in the evening: the next has begun
        ("2026-03-29T09:00", "2026-03-28T17:00", "2026-03-29T06:00"),  # summer time begins: an hour less
        ("2026-10-25T09:00", "2026-10-24T16:00", "2026-10-25T07:00"),  # it ends: an hour more
    ],
)
def test_the_last_night_that_has_begun(now: str, since: str, until: str) -> None:
    assert night_period("18:00", "08:00", BERLIN, at(now)) == (at(since), at(until))


@pytest.mark.parametrize(
    ("since", "until"),
    [("2h", "2026-11-30T12:00"), ("18:00", "2026-11-30T07:00"), ("2026-11-28T18:00", "2026-11-29T07:00")],
)
def test_without_an_end_it_is_the_morning_or_now_after_a_duration(since: str, until: str) -> None:
    """At noon, `--since 2h` means the last two hours: the morning was before they began."""
    assert night_period(since, None, BERLIN, at("2026-11-30T12:00"))[1] == at(until)


def test_dates_and_durations_name_any_period() -> None:
    now = at("2026-11-30T12:00")
    assert night_period("2026-11-27T18:00", "2026-11-30T08:00", BERLIN, now) == (
        at("2026-11-27T17:00"),
        at("2026-11-30T07:00"),
    )
    assert night_period("2026-11-27T18:00Z", "2h", BERLIN, now) == (at("2026-11-27T18:00"), at("2026-11-30T10:00"))
    assert night_period("14h", "08:00", BERLIN, now) == (at("2026-11-29T22:00"), at("2026-11-30T07:00"))


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("soon", "08:00"),
        ("18:00", ""),
        ("2h", "2026-11-30T08:00"),
        ("0001-01-01T00:00+14:00", "08:00"),
        ("9999-12-31T23:59", "08:00"),
        ("18:00", "0001-01-01T00:00+14:00"),
    ],
)
def test_what_is_no_period_is_named(since: str, until: str) -> None:
    with pytest.raises(Failure):
        night_period(since, until, BERLIN, at("2026-11-30T12:00"))


@pytest.mark.parametrize("name", ["Europe/Nowhere", "", "../etc/passwd"])
def test_what_is_no_time_zone_is_named(name: str) -> None:
    with pytest.raises(Failure, match="no time zone"):
        time_zone(name)


def test_the_time_zone_of_a_machine_is_that_of_its_variable_or_its_configuration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    zones = tmp_path / "zoneinfo" / "Europe"
    zones.mkdir(parents=True)
    (zones / "Berlin").touch()
    localtime = tmp_path / "localtime"
    localtime.symlink_to(zones / "Berlin")
    monkeypatch.delenv("TZ", raising=False)
    assert machines_time_zone(localtime) == BERLIN
    assert machines_time_zone(tmp_path / "none") == ZoneInfo("UTC")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert machines_time_zone(localtime) == ZoneInfo("Asia/Tokyo")
    monkeypatch.setenv("TZ", "<+03>-3")
    assert machines_time_zone(localtime) == ZoneInfo("UTC")
