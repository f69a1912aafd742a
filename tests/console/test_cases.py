"""Cases: each id finds its cases, filters and text narrow them, and the page of a case tells what `why` tells."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.schemas import ids
from nightdesk.schemas.audit import ActionDetail, EventDetail
from tests.console.server import RunningConsole
from tests.sinks.records import AGENT, START, acted, dead_letter, decided, land, of_case, outcome, question, record

CASE = of_case("evt-1")["case_id"]
OTHER = of_case("evt-2", "nightly")
EVENT = EventDetail(data='{"text": "Where is my parcel?"}', time=START)
RECORDS = (
    record("received", 0, EVENT, **of_case("evt-1")),
    decided(1),
    acted(2, "failed", outcomes=(outcome(0), outcome(1, "failed", error="503"), outcome(0, "undone")), reason="undone"),
    record("asked", 1, question(reply="no\n<b>JSON</b>"), provider="anthropic", model="m-1", **of_case("evt-1")),
    record("asked", 1.5, question(attempt=1, answered=False, reply="", fallbacks=()), **of_case("evt-1")),
    record("received", 3, EVENT, subject="ticket-2", **OTHER),
    record("acted", 4, ActionDetail(outcomes=()), subject="ticket-2", status="completed", **OTHER),
    record("rejected", 5, EVENT, subject="ticket-3", event_id="evt-3", agent="nightly", reason="text is missing"),
    dead_letter(6, detail={"topic": "ingest"}, subject="ticket-4", event_id="", event_source="", event_type=""),
)
EVER = "since=2026-11-01T00:00"


def found(console: RunningConsole, query: str, person: str = "vera") -> list[str]:
    answer = console.get(f"/cases.json?{query}", person)
    assert answer.status_code == 200, answer.text
    return [case["event_id"] for case in answer.json()["cases"]]


@pytest.fixture(autouse=True, scope="module")
def landed(client: Client) -> None:
    land(client, *RECORDS)


@pytest.mark.parametrize("id_", ["ticket-1", "evt-1", CASE, ids.decision_id(CASE, 0)])
def test_every_id_finds_the_case_whatever_its_time(console: RunningConsole, id_: str) -> None:
    assert found(console, f"q={id_}&since=1h") == ["evt-1"]


@pytest.mark.parametrize(
    ("query", "events"),
    [
        ("", ["", "evt-3", "evt-2", "evt-1"]),
        ("status=failed", ["", "evt-1"]),
        ("status=failed,completed", ["", "evt-2", "evt-1"]),
        ("status=failed,rejected", ["", "evt-3", "evt-1"]),
        ("status=refused", []),
        ("agent=nightly", ["evt-3", "evt-2"]),
        ("q=evt-3", ["evt-3"]),
        ("q=IS MISSING", ["evt-3"]),
        ("action=respond&agent=support-triage", ["evt-1"]),
        ("q=PARCEL IS", ["evt-1"]),
        ("q=leaves tomorrow", ["evt-1"]),
        ("q=undone", ["evt-1"]),
        ("q=cket-2", ["evt-2"]),
        ("q=' OR 1=1 --", []),
        ("until=2026-11-20T08:00:02", ["evt-1"]),
    ],
)
def test_filters_and_texts_narrow_what_is_shown(console: RunningConsole, query: str, events: list[str]) -> None:
    assert found(console, f"{EVER}&{query}") == events


def test_what_is_older_than_a_day_is_not_shown_unless_it_is_asked_for(console: RunningConsole) -> None:
    assert found(console, "") == []


def test_a_person_of_one_agent_sees_its_cases_and_no_others(console: RunningConsole) -> None:
    assert found(console, EVER, "nele") == ["evt-3", "evt-2"]
    assert found(console, "q=ticket-1", "nele") == []
    assert console.get(f"/cases/{CASE}", "nele").status_code == 404
    assert console.get("/subjects?id=ticket-2", "nele").status_code == 200
    assert "text is missing" in console.get("/subjects?id=evt-3", "nele").text
    assert console.get("/subjects?id=ticket-4", "nele").status_code == 404


def test_the_chips_count_what_one_click_would_show(console: RunningConsole) -> None:
    chips = console.get(f"/cases.json?{EVER}&agent=nightly").json()["chips"]
    assert {chip["label"]: chip["cases"] for chip in chips["status"]} == {"completed": 1, "rejected": 1}
    assert {chip["label"]: chip["cases"] for chip in chips["agent"]} == {"nightly": 2, AGENT: 1}
    [chosen] = [chip for chip in chips["agent"] if chip["is_set"]]
    assert chosen["address"] == "/cases?since=2026-11-01T00%3A00"


def test_an_event_without_a_case_leads_to_what_is_known_of_it(console: RunningConsole) -> None:
    page = console.get(f"/cases?{EVER}&status=rejected,failed").text
    for link in ("/subjects?id=evt-3", "/subjects?id=ticket-4"):
        assert f'href="{link}"' in page
        assert console.get(link).status_code == 200


def test_the_page_of_a_case_tells_its_story_in_order(console: RunningConsole) -> None:
    view = console.get(f"/cases/{CASE}.json").json()
    [[event, [case]]] = view["events"]
    assert event["data"] == {"text": "Where is my parcel?"}
    assert [entry["kind"] for entry in case["entries"]] == ["received", "decided", "acted"]
    received, decision, act = case["entries"]
    assert decision["decision"]["verdicts"] == [{"rule": "refund-cap", "passed": True, "reason": ""}]
    assert decision["parameters"] == {"text": "It leaves tomorrow."}
    assert [(one["handler"], one["status"], one["is_undo"]) for one in act["attempts"]] == [
        ("reply.send", "done", False),
        ("reply.send", "failed", False),
        ("reply.send", "undone", True),
    ]
    assert case["case"]["cost_microusd"] == 4_200
    assert received["time"] < decision["time"] < act["time"]
    page = console.get(f"/cases/{CASE}").text
    assert page.index("Event received") < page.index("refund-cap") < page.index("reply.send")


def test_what_a_customer_writes_is_text_and_hides_nothing(console: RunningConsole, client: Client) -> None:
    hostile = EventDetail(data='{"text": "<script>alert(1)</script>\\u202e gro.live \\ud800"}', time=START)
    land(client, record("received", 9, hostile, subject="ticket-9", **of_case("evt-9")), first=50)
    with console.browser() as browser:
        page = browser.get("/subjects?id=ticket-9").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "\\u202e" in page
    assert "\u202e" not in page
    twin = console.get("/subjects.json?id=ticket-9")
    assert twin.status_code == 200
    assert "\\u202e gro.live \\ud800" in twin.text, "half a surrogate is an escape for a script, too"


def test_an_unknown_id_says_so(console: RunningConsole) -> None:
    assert console.get("/cases/nothing.json").status_code == 404
    assert console.get("/subjects?id=nothing").status_code == 404


def test_prompts_and_replies_are_shown_to_who_asks_and_may(console: RunningConsole) -> None:
    page = f"/cases/{CASE}"
    assert "What is it?" not in console.get(page, "ada").text
    assert f"{page}/questions" in console.get(page, "ada").text
    assert f"{page}/questions" not in console.get(page, "vera").text
    refused = console.get(f"{page}/questions", "vera")
    assert (refused.status_code, "role approver" in refused.text) == (403, True)
    shown = console.get(f"{page}/questions", "ada").text
    assert "no\n&lt;b&gt;JSON&lt;/b&gt;" in shown
    assert "without a usable answer" in shown
    first, second = console.get(f"{page}/questions.json", "ada").json()["calls"]
    assert (first["prompt"] in shown, first["reply"], second["answered"]) == (True, "no\n<b>JSON</b>", False)


def test_a_case_of_another_agent_or_of_rules_alone_has_no_questions(console: RunningConsole) -> None:
    assert console.get(f"/cases/{CASE}/questions", "nele").status_code == 404
    assert console.get("/cases/ticket-1/questions", "ada").status_code == 404
    other = OTHER["case_id"]
    assert "questions" not in console.get(f"/cases/{other}", "nele").text
    assert "No model was asked" in console.get(f"/cases/{other}/questions", "otto").text
