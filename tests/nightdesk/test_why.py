"""`nightdesk why`: the story, its JSON contract, and the message if there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Producer

from nightdesk.messaging.changelog import ENVELOPE
from nightdesk.messaging.naming import group_id
from nightdesk.processors.admission import Shut
from nightdesk.schemas import ids
from nightdesk.schemas.records import AuditRecord, Case
from nightdesk.settings import Settings
from nightdesk.streams.stages.waiting_rows import new_row
from tests.nightdesk.command_line import CommandLine
from tests.processors.examples import NOW, case, compiled
from tests.sinks.records import AGENT, acted, at, dead_letter, decided, land, of_case, outcome, record

GOLDEN = Path(__file__).parent / "why_golden.txt"
CASE = of_case()["case_id"]
DECISION = ids.decision_id(CASE, 0)


@pytest.fixture
def a_day(client: Client) -> None:
    """Ticket 1: an event that was handled, one that was sent twice, one that no agent accepts, one that became a dead
    letter.
    """
    received = {"data": '{"text": "Where is it?\\u001b[2J"}', "time": at(-5).isoformat()}
    land(
        client,
        record("received", 0, received, **of_case()),
        record("deferred", 0.5, {"until": at(1).isoformat()}, status="deferred", reason="budget is spent", **of_case()),
        decided(1),
        record("queued", 2, {"until": at(3).isoformat()}, status="waiting", reason="again: desk is away", **of_case()),
        acted(4, "completed", outcomes=[
            outcome(0, attempts=0, from_cache=True), outcome(1, "failed", error="HTTP 500", attempts=3, result="null"),
        ]),
        record("ignored", 5, {"data": "{}", "time": at(5).isoformat()}, status="ignored", reason="duplicate"),
        record("ignored", 6, {"data": '"hi"', "time": at(6).isoformat()}, event_id="evt-2", status="ignored",
               reason="no charter accepts ticket.created"),
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
    # What was only observed stops nobody, and lets nobody go on.
    land(client, order(23, "resume", "*"), order(23.5, "observed", AGENT), first=200)
    [halt] = nightdesk("why", "evt-1", "-o", "json").json()["halts"]
    assert (halt["agent"], halt["order"], halt["issued_by"]) == (AGENT, "pause", "ada")
    last = nightdesk("why", "ticket-1").out.splitlines()[-1]
    ordered = "2026-11-20 08:00:20 UTC: pause by ada (claimed) (too many refunds)"
    assert last == f"{AGENT} acts on nothing but escalations since {ordered}"
    land(client, order(24, "resume", AGENT), first=300)
    assert nightdesk("why", "evt-1", "-o", "json").json()["halts"] == []


def test_an_undo_that_was_tried_again_is_told_once(nightdesk: CommandLine, client: Client) -> None:
    tried, undone = (outcome(0, "undo_failed", error="HTTP 500"), outcome(0, "undone"))
    land(
        client,
        record("received", 0, {"data": "{}", "time": at(-5).isoformat()}, **of_case()),
        decided(1),
        acted(2, "failed", outcomes=[outcome(0), tried], reason="undo failed: reply.send"),
        acted(60, "failed", outcomes=[outcome(0), undone]),
    )
    told = nightdesk("why", "ticket-1").out
    assert told.count("  acted ") == 2
    assert "undo_failed" not in told
    assert told.count(" undone") == 1


def _wait(settings: Settings, reason: str) -> Case:
    """A case waits in the budget stage."""
    charter = compiled()
    waits = case(charter)
    row = new_row(waits, charter, 1, "", NOW).kept_by(Shut("unavailable", "models", reason))
    name = f"{group_id(settings.kafka.topic_prefix, 'budget')}-waiting-changelog"
    producer = Producer(settings.kafka.client_config())
    producer.produce(name, key=row.key, value=ENVELOPE.pack(1, 0.0) + row.model_dump_json().encode(), partition=0)
    assert producer.flush(30) == 0
    return waits


def test_what_a_case_waits_for_now(nightdesk: CommandLine, client: Client, topics: Settings) -> None:
    waits = _wait(topics, "anthropic overloaded\x1b[2J")
    # It is not in the audit yet.
    story = nightdesk("why", "t-1", "-o", "json").json()
    assert (story["subject"], story["events"], story["cases"]) == ("t-1", [], [])
    [found] = story["waits"]
    assert (found["case_id"], found["gate"], found["step"]) == (waits.case_id, "unavailable", 0)
    line = (
        f"case {waits.case_id} of desk waits now for a model that answers (anthropic overloaded\\x1b[2J),"
        " since 2026-11-20 12:00:00 UTC, at most until 2026-11-21 14:00:00 UTC"
    )
    assert nightdesk("why", "e-1").out.splitlines()[-1] == line
    about = {"subject": "t-1", "event_id": "e-1", "case_id": waits.case_id, "agent": "desk"}
    land(client, record("received", 0, {"data": "{}", "time": at(-5).isoformat()}, **about))
    story = nightdesk("why", waits.case_id, "-o", "json").json()
    assert ([one["status"] for one in story["cases"]], story["waits"]) == (["running"], [found])
    # Another subject's story has none of it, and what has ended waits for nothing.
    land(client, record("received", 0, {"data": "{}", "time": at(-5).isoformat()}, **of_case()), first=1)
    assert nightdesk("why", "ticket-1", "-o", "json").json()["waits"] == []
    land(client, record("acted", 9, status="completed", **about), first=2)
    assert nightdesk("why", "t-1", "-o", "json").json()["waits"] == []


def test_waits_that_cannot_be_read_are_not_none(nightdesk: CommandLine, client: Client) -> None:
    land(client, record("received", 0, {"data": "{}", "time": at(-5).isoformat()}, **of_case()))
    assert nightdesk("why", "ticket-1", "-o", "json").json()["waits"] is None
    assert nightdesk("why", "ticket-1").out.splitlines()[-1] == "what waits now cannot be read: see `nightdesk doctor`"
