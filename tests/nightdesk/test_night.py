"""`nightdesk night`: the table of a simulated night from ClickHouse is the one that its own records give."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.commands.night import document
from nightdesk.exit_codes import EXIT_CODES
from nightdesk.messaging.failures import FailureKind
from nightdesk.processors.night_report import NightReport
from tests.nightdesk.command_line import CommandLine
from tests.nights.night import load
from tests.nights.play import Played, play
from tests.sinks.records import AGENT, START, land, record

PERIOD = ("--since", "2026-11-24T18:00", "--until", "2026-11-25T08:00", "--time-zone", "Europe/Berlin")


@pytest.fixture(scope="module")
def played() -> Played:
    return play(load("a_bit_of_everything"))


@pytest.fixture
def known(played: Played, client: Client) -> Played:
    """The night, whose audit is in ClickHouse."""
    land(client, *played.desk.audits.values())
    return played


def test_it_is_the_same_from_the_audit_and_from_the_simulation(nightdesk: CommandLine, known: Played) -> None:
    found = nightdesk("night", *PERIOD, "-o", "json").json()
    assert found == as_json(known.report)
    assert all(found["ended"][status] for status in ("completed", "escalated", "ignored", "rejected"))
    assert {"deferred", "waiting"} <= {wait["status"] for wait in found["longest_waits"]}
    assert [order["order"] for order in found["orders"]] == ["pause", "resume"]
    reasons = {(each["status"], each["reason"]) for each in found["reasons"]}
    assert ("escalated", "respond failed; step 0 (reply.send) failed: HTTP 400") in reasons
    assert ("escalated", "decided by anthropic") in reasons
    assert {"rejected", "ignored"} <= {status for status, _ in reasons}


def test_the_views_have_the_same_ends(client: Client, known: Played) -> None:
    """`cases` and `ends` define in SQL how something ended: the report must not disagree with `cases list`."""
    rows = client.query("SELECT status, count() FROM ends GROUP BY status").result_rows
    failed = {"dead_letter": "failed"}
    ours: Counter[str] = Counter()
    for status, count in known.report.ended.items():
        ours[failed.get(status, status)] += count
    assert {str(status): int(count) for status, count in rows} == dict(ours)


def test_the_view_impact_has_the_same_sums(client: Client, known: Played) -> None:
    """All cases of this night were opened and ended in it."""
    saved = "sum(completed), sum(saved_s), sum(saved_microusd), sum(unanswered_microusd)"
    (row,) = client.query(f"SELECT {saved}, sum(cost_microusd) FROM impact").result_rows
    assert tuple(row) == (*known.report.impact, known.report.cost_microusd)
    assert known.report.impact.saved_s > 0


def test_people_see_it_on_eighty_columns(
    nightdesk: CommandLine, known: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = nightdesk("night", *PERIOD).out
    assert shown.startswith("Tue 2026-11-24 18:00 to Wed 2026-11-25 08:00 Europe/Berlin: 70 events, 0 lost\n")
    assert max(map(len, shown.splitlines())) <= 80
    assert "wrong answers" in shown
    assert "$" in shown
    reasons = shown[shown.index("why") : shown.index("model_calls")].splitlines()
    assert next(row for row in reasons if row.startswith("escalated")).split()[1] == "14", (
        "the most frequent comes first"
    )
    assert any(row.startswith("rejected") and "other reasons" in row for row in reasons)


def test_a_zone_that_is_utc_has_that_name(nightdesk: CommandLine, known: Played) -> None:
    assert known
    assert " UTC: " in nightdesk("night", *PERIOD[:4], "--time-zone", "Etc/UTC").out.splitlines()[0]
    assert "Etc" not in nightdesk("night", *PERIOD[:4], "--time-zone", "Etc/UTC").out


def test_a_part_of_a_night_has_what_happened_in_it(nightdesk: CommandLine, known: Played) -> None:
    """What was worked on counts, and what waits since before it."""
    early = ("--since", "2026-11-24T18:00", "--until", "2026-11-24T19:00", "--time-zone", "Europe/Berlin")
    found = nightdesk("night", *early, "-o", "json").json()
    assert 0 < found["events"] < 70
    assert found["orders"] == []
    late = ("--since", "2026-11-25T06:00", "--until", "2026-11-25T08:00", "--time-zone", "Europe/Berlin")
    waiting = nightdesk("night", *late, "-o", "json").json()
    assert waiting["ended"]["deferred"] == known.report.ended["deferred"]
    assert waiting["ended"]["completed"] < known.report.ended["completed"]


def test_what_waits_for_weeks_is_in_the_night(nightdesk: CommandLine, client: Client) -> None:
    """A paused agent writes no record: the case has had none since it began to wait, twenty days before."""
    case: dict[str, Any] = {"case_id": "c-1", "agent": AGENT}
    land(client, record("received", 0, **case), record("deferred", 1, status="deferred", reason="a pause", **case))
    period = ("--since", (START + timedelta(days=20)).isoformat(), "--until", (START + timedelta(days=21)).isoformat())
    found = nightdesk("night", *period, "-o", "json").json()
    assert (found["events"], found["ended"]["deferred"]) == (1, 1)
    assert found["longest_waits"][0]["ended_at"] is None


def test_a_night_of_which_nothing_is_known_has_no_events(nightdesk: CommandLine, client: Client) -> None:
    assert client
    assert nightdesk("night", "-o", "json").json()["events"] == 0
    assert ": 0 events, 0 lost" in nightdesk("night").out


@pytest.mark.parametrize("wrong", [("--since", "soon"), ("--time-zone", "Mars"), ("--since", "1h", "--until", "2h")])
def test_what_is_no_night_is_wrong_usage(nightdesk: CommandLine, wrong: tuple[str, ...]) -> None:
    assert nightdesk("night", *wrong).code == EXIT_CODES[FailureKind.INVALID]


def as_json(report: NightReport) -> object:
    """As it is printed."""
    return json.loads(json.dumps(document(report), default=str))
