"""Tonight: its numbers are those of the cases, and every interval is there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from clickhouse_connect.driver.client import Client

from nightdesk.console.pages.tonight import BUCKETS, agent_rows, attention_of, bucket_s, tiles, trend
from nightdesk.console.visitors import Role, Visitor
from nightdesk.operations.attention import NeedsAPerson
from nightdesk.operations.persons import Person
from nightdesk.operations.stage_status import StageStatus
from nightdesk.sinks.attention import OpenLetters
from nightdesk.sinks.case_search import Period, Tally
from nightdesk.sinks.story import Halt
from tests.console.server import RunningConsole
from tests.sinks.records import land, of_case, record

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def tally(minutes: int, status: str, cases: int = 1, agent: str = "support-triage") -> Tally:
    return Tally(NOW - timedelta(minutes=minutes), agent, status, cases, 1_000)


def test_every_status_is_counted_on_one_tile() -> None:
    """A rejected event is no failure of an agent: the agents' table counts what failed by the same word."""
    counted = {
        tile.name: tile.cases
        for tile in tiles(
            [
                tally(1, "completed", 2),
                tally(2, "deferred"),
                tally(3, "waiting"),
                tally(4, "failed"),
                tally(5, "rejected"),
            ]
        )
    }
    assert counted == {
        "completed": 2, "escalated": 0, "needs approval": 0, "waiting": 2, "refused": 0, "failed": 1, "rejected": 1
    }  # fmt: skip


def test_the_trend_has_every_interval_and_the_sum_of_the_tallies() -> None:
    step = bucket_s(DAY)
    found = trend([tally(30, "completed", 3), tally(60 * 23, "failed")], Period(NOW - DAY, NOW), step)
    assert len(found.started) == BUCKETS + 1
    assert {later - earlier for earlier, later in zip(found.started, found.started[1:], strict=False)} == {step}
    assert sum(found.cases["completed"]) == 3
    assert found.cases["completed"][-2] == 3
    assert sum(found.cases["failed"]) == 1


def test_the_agent_with_most_cases_comes_first() -> None:
    rows = agent_rows([tally(1, "completed"), tally(2, "failed", 5, "nightly"), tally(3, "escalated", 1, "nightly")])
    assert [(row.agent, row.cases, row.failed, row.escalated, row.cost_microusd) for row in rows] == [
        ("nightly", 6, 5, 1, 2_000),
        ("support-triage", 1, 0, 0, 1_000),
    ]


def test_the_page_counts_what_came_in_its_time(console: RunningConsole, client: Client) -> None:
    now = datetime.now(UTC)
    for number, age in enumerate((timedelta(minutes=5), timedelta(hours=5), timedelta(days=3))):
        case = of_case(f"evt-{number}")
        land(client, record("received", number, time=now - age, **case | {"case_at": now - age}), first=number)
    counts = {span: console.get(f"/tonight.json?span={span}").json()["cases"] for span in ("1h", "12h", "24h", "7d")}
    assert counts == {"1h": 1, "12h": 2, "24h": 2, "7d": 3}
    assert console.get("/tonight.json?span=9y").status_code == 400
    page = console.get("/tonight").text
    assert 'hx-trigger="every 5s"' in page


def test_a_broker_that_is_away_does_not_hide_the_rest(console: RunningConsole, client: Client) -> None:
    stop = {"order": "stop_all", "issued_by": "ada", "version": None}
    land(client, record("control", 9, stop, subject="*", event_id="", reason="fire"), first=90)
    view = console.get("/tonight/attention.json").json()
    assert "does not answer" in view["problem"]
    assert (view["waiting"], view["dead_letters"], view["lag"]) == (0, 0, None)
    assert [(halt["agent"], halt["order"]) for halt in view["halts"]] == [("*", "stop_all")]


def test_a_person_of_some_agents_sees_what_needs_a_person_of_theirs() -> None:
    halts = [Halt(agent=agent, order="pause", issued_by="ada", reason="", since=NOW) for agent in ("*", "a", "b")]
    letters = [OpenLetters("a", 3, 0), OpenLetters("b", 4, 7), OpenLetters("", 1, 0)]
    stages = {"act": StageStatus("running", 2, None), "sink": StageStatus("stopped", 5, None)}
    found = NeedsAPerson((), letters, halts, stages, "")
    own = attention_of(found, Visitor(Person("nele"), Role.viewer, frozenset({"a"})))
    assert ([halt.agent for halt in own.halts], own.dead_letters, own.lost) == (["*", "a"], 3, 0)
    every = attention_of(found, Visitor(Person("vera"), Role.viewer))
    assert ([halt.agent for halt in every.halts], every.dead_letters, every.lost) == (["*", "a", "b"], 8, 7)
    assert (every.stages_not_running, every.lag) == (["sink"], 7)
