"""`nightdesk why`: the story, its JSON contract, and what it says when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from schemas import ids
from schemas.records import AuditRecord
from tests.nightdesk.command_line import CommandLine
from tests.sinks.records import AGENT, acted, at, dead_letter, decided, land, of_case, outcome, record

GOLDEN = Path(__file__).parent / "why_golden.txt"
CASE = of_case()["case_id"]
DECISION = ids.decision_id(CASE, 0)


@pytest.fixture
def a_day(client: Client) -> None:
    """Ticket 1: one event that was handled, sent twice, one that nobody takes, one that died on the way."""
    received = {"data": '{"text": "Where is it?\\u001b[2J"}', "time": at(-5).isoformat()}
    land(
        client,
        record("received", 0, received, **of_case()),
        record("deferred", 0.5, {"until": at(1).isoformat()}, status="deferred", reason="budget is spent", **of_case()),
        decided(1),
        record("queued", 2, {"until": at(3).isoformat()}, status="waiting", reason="again: desk is away", **of_case()),
        acted(4, "completed", outcomes=[
            outcome(0, attempts=0, from_cache=True), outcome(1, "failed", error="HTTP 500", attempts=3, result=None),
        ]),
        record("ignored", 5, {"data": "{}", "time": at(5).isoformat()}, status="ignored", reason="duplicate"),
        record("ignored", 6, {"data": '"hi"', "time": at(6).isoformat()}, event_id="evt-2", status="ignored",
               reason="no charter takes ticket.created"),
        record("received", 7, received, **of_case("evt-3")),
        dead_letter(8, **of_case("evt-3")),
        record("received", 9, received, subject="ticket-2", **of_case("evt-9")),
    )  # fmt: skip


@pytest.mark.usefixtures("a_day")
def test_the_story_as_people_read_it(nightdesk: CommandLine) -> None:
    assert nightdesk("why", "ticket-1").out == GOLDEN.read_text()


@pytest.mark.usefixtures("a_day")
def test_the_json_contract(nightdesk: CommandLine) -> None:
    story = nightdesk("why", "ticket-1", "--output", "json").json()
    assert story["subject"] == "ticket-1"
    done, dead = story["cases"]
    assert {
        name: done[name] for name in ("case_id", "event_id", "agent", "charter_version", "status", "cost_microusd")
    } == {
        "case_id": CASE,
        "event_id": "evt-1",
        "agent": AGENT,
        "charter_version": "v1",
        "status": "completed",
        "cost_microusd": 4_200,
    }
    (decision,) = done["decisions"]
    assert decision["decision_id"] == DECISION
    assert decision["parameters"] == {"text": "It leaves tomorrow."}
    assert decision["verdicts"] == [{"rule": "refund-cap", "passed": True, "reason": ""}]
    assert [(step["handler"], step["status"], step["result"]) for step in done["outcomes"]] == [
        ("reply.send", "done", {"id": 0}),
        ("reply.send", "failed", None),
    ]
    assert (dead["event_id"], dead["status"], dead["dead_letters"][0]["message"]) == ("evt-3", "failed", "it broke")
    assert [(event["event_id"], event["status"], event["state"], event["case_ids"]) for event in story["events"]] == [
        ("evt-1", "completed", "ended", [CASE]),
        ("evt-2", "ignored", "ended", []),
        ("evt-3", "failed", "ended", [of_case("evt-3")["case_id"]]),
    ]
    assert story["events"][0]["data"] == {"text": "Where is it?\x1b[2J"}


@pytest.mark.usefixtures("a_day")
@pytest.mark.parametrize(
    ("asked", "events", "cases"),
    [
        ("evt-1", ["evt-1"], [CASE]),
        (CASE, ["evt-1"], [CASE]),
        (DECISION, ["evt-1"], [CASE]),
        ("evt-2", ["evt-2"], []),
        ("ticket-2", ["evt-9"], [of_case("evt-9")["case_id"]]),
    ],
)
def test_any_id_leads_to_its_part_of_the_story(
    nightdesk: CommandLine, asked: str, events: list[str], cases: list[str]
) -> None:
    story = nightdesk("why", asked, "-o", "json").json()
    assert [event["event_id"] for event in story["events"]] == events
    assert [case["case_id"] for case in story["cases"]] == cases
    assert story["asked"] == asked


@pytest.mark.parametrize("subject", ["", "it's", "a\nb\\c\t{x:String}", "工单-7 🎫", "'; DROP TABLE audit_records; --"])
def test_any_subject_can_be_asked_for(nightdesk: CommandLine, client: Client, subject: str) -> None:
    land(client, record("received", 0, **(of_case() | {"subject": subject})))
    assert nightdesk("why", subject, "-o", "json").json()["subject"] == subject


def test_an_id_under_two_subjects_tells_of_the_latest_and_names_the_other(
    nightdesk: CommandLine, client: Client
) -> None:
    land(
        client,
        record("ignored", 0, subject="old", status="ignored"),
        record("ignored", 1, subject="new", status="ignored"),
    )
    story = nightdesk("why", "evt-1", "-o", "json").json()
    assert (story["subject"], story["other_subjects"]) == ("new", ["old"])
    assert "also found under: old" in nightdesk("why", "evt-1").out


def test_nothing_found(nightdesk: CommandLine) -> None:
    result = nightdesk("why", "ticket-404")
    assert (result.code, result.out) == (3, "")
    assert "ticket-404" in result.err


@pytest.mark.usefixtures("a_day")
def test_who_may_not_act_and_why(nightdesk: CommandLine, client: Client) -> None:
    def order(seconds: float, kind: str, agent: str) -> AuditRecord:
        about = {"order": kind, "issued_by": "ada"}
        return record("control", seconds, about, subject=agent, agent=agent, event_id="", reason="too many refunds")

    land(client, order(20, "pause", AGENT), order(21, "pause", "another"), order(22, "stop_all", "*"), first=100)
    land(client, order(23, "resume", "*"), first=200)
    [halt] = nightdesk("why", "evt-1", "-o", "json").json()["halts"]
    assert (halt["agent"], halt["order"], halt["issued_by"]) == (AGENT, "pause", "ada")
    last = nightdesk("why", "ticket-1").out.splitlines()[-1]
    assert last == f"{AGENT} acts on nothing since 2026-11-20 08:00:20 UTC: pause by ada (too many refunds)"
    land(client, order(24, "resume", AGENT), first=300)
    assert nightdesk("why", "evt-1", "-o", "json").json()["halts"] == []


def test_an_undo_that_was_tried_again_is_told_once(nightdesk: CommandLine, client: Client) -> None:
    tried, undone = (outcome(0, "undo_failed", error="HTTP 500"), outcome(0, "undone"))
    land(
        client,
        record("received", 0, {"data": "{}", "time": at(-5).isoformat()}, **of_case()),
        decided(1),
        acted(2, "failed", outcomes=[outcome(0), tried], reason="not taken back: reply.send"),
        acted(60, "failed", outcomes=[outcome(0), undone]),
    )
    told = nightdesk("why", "ticket-1").out
    assert told.count("  acted ") == 2
    assert "undo_failed" not in told
    assert told.count(" undone") == 1
