"""The views show what happened, before any merge has run and however often a record arrived."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.schemas.audit import EventDetail, ParkedDetail, WaitDetail
from nightdesk.schemas.records import AuditRecord, DeadLetterEnd
from tests.sinks.records import AGENT, acted, at, dead_letter, decided, land, of_case, outcome, record


def rows(client: Client, query: str) -> list[dict[str, Any]]:
    return list(client.query(query).named_results())


def received(event_id: str = "evt-1", agent: str = AGENT) -> AuditRecord:
    return record("received", 0, EventDetail(data='{"text":"Where is it?"}', time=at(-5)), **of_case(event_id, agent))


def deferred(seconds: float) -> AuditRecord:
    return record("deferred", seconds, WaitDetail(until=at(99)), status="deferred", **of_case())


def resumed(seconds: float) -> AuditRecord:
    return record("deferred", seconds, status="running", **of_case())


def refused(seconds: float) -> AuditRecord:
    return record("refused", seconds, status="refused", reason="budget", **of_case())


def not_admitted(seconds: float) -> AuditRecord:
    detail = EventDetail(data="{}", time=at(-5), partition=0, offset=7)
    return record("refused", seconds, detail, status="refused", reason="over its limit", **of_case())


def rejected(seconds: float, agent: str = AGENT) -> AuditRecord:
    detail = EventDetail(data="{}", time=at(-5), partition=0, offset=7)
    return record("rejected", seconds, detail, status="failed", reason="data.x", agent=agent)


def goes_on(seconds: float) -> AuditRecord:
    return record("deferred", seconds, status="running", reason="its turn came", **of_case())


def queued(seconds: float) -> AuditRecord:
    return record("queued", seconds, WaitDetail(until=at(99)), status="waiting", **of_case())


def parked(seconds: float, topic: str, **fields: Any) -> AuditRecord:
    detail = ParkedDetail(behind="dl-0", topic=topic, partition=0, offset=7)
    return record("parked", seconds, detail, **{"status": "waiting", **fields})


def ended(verdict: str, seconds: float, detail: Any = None, **fields: Any) -> AuditRecord:
    status = "running" if verdict == "replayed" else "failed"
    about = {"dead_letter_id": "dl-1", "verdict": verdict, "person": "Ada", "time": at(seconds)}
    end = DeadLetterEnd.model_validate(about | (detail or {}))
    return record(verdict, seconds, end, status=status, reason="by Ada", **fields)


UNREAD = {"event_id": "", "event_source": "", "event_type": ""}


def approval(seconds: float, status: str) -> AuditRecord:
    return record("approval", seconds, status=status, **of_case())


CASES: dict[str, tuple[list[AuditRecord], str]] = {
    "just received": ([received()], "running"),
    "received and decided": ([received(), decided(1)], "running"),
    "done": ([received(), decided(1), acted(2, "completed")], "completed"),
    "deferred": ([received(), deferred(1)], "deferred"),
    "deferred, then resumed": ([received(), deferred(1), resumed(2)], "running"),
    "deferred twice": ([received(), deferred(1), resumed(2), deferred(3)], "deferred"),
    "deferred, then done": ([received(), deferred(1), decided(2), acted(3, "completed")], "completed"),
    "deferred, then refused": ([received(), deferred(1), refused(2)], "refused"),
    "its turn came": ([received(), deferred(1), goes_on(2)], "running"),
    "its turn came, then no money": ([received(), deferred(1), goes_on(2), deferred(3)], "deferred"),
    "refused by the limit of its subject": ([not_admitted(0)], "refused"),
    "refused by the limit of its subject, and offered again": ([not_admitted(-5), received()], "running"),
    "refused by a gate": ([received(), decided(1, status="refused")], "refused"),
    "needs approval": ([received(), decided(1, status="needs_approval")], "needs_approval"),
    "approved and done": (
        [received(), decided(1, status="needs_approval"), approval(9, "running"), acted(10, "completed")],
        "completed",
    ),
    "rejected by a person": ([received(), decided(1, status="needs_approval"), approval(9, "refused")], "refused"),
    "researching": ([received(), decided(1), acted(2, "running")], "running"),
    "researched and done": (
        [received(), decided(1), acted(2, "running"), decided(3, step=1), acted(4, "escalated", step=1)],
        "escalated",
    ),
    "queued": ([received(), decided(1), queued(2)], "waiting"),
    "queued, then done": ([received(), decided(1), queued(2), acted(3, "completed")], "completed"),
    "approved and queued": (
        [received(), decided(1, status="needs_approval"), approval(9, "running"), queued(10)],
        "waiting",
    ),
    "queued, then a person is asked": (
        [received(), decided(1), queued(2), approval(9, "needs_approval")],
        "needs_approval",
    ),
    "a person was asked, approved, and it waited twice": (
        [received(), decided(1), queued(2), approval(9, "needs_approval"), approval(10, "running"), queued(11)],
        "waiting",
    ),
    "clocks differ": ([received(), decided(5), acted(2, "completed")], "completed"),
    "dead": ([received(), decided(1), dead_letter(2, **of_case())], "failed"),
    "dead, sent again and done": (
        [received(), decided(1), dead_letter(2, **of_case()), acted(60, "completed")],
        "completed",
    ),
    "dead and replayed": (
        [received(), decided(1), dead_letter(2, **of_case()), ended("replayed", 3, **of_case())],
        "running",
    ),
    "dead, replayed and refused": (
        [received(), dead_letter(2, **of_case()), ended("replayed", 3, **of_case()), decided(4, status="refused")],
        "refused",
    ),
    "dead, replayed and dead again": (
        [
            received(),
            dead_letter(2, **of_case()),
            ended("replayed", 3, **of_case()),
            dead_letter(4, **of_case(), detail={"dead_letter_id": "dl-2"}),
        ],
        "failed",
    ),
    "dead and discarded": (
        [received(), decided(1), dead_letter(2, **of_case()), ended("discarded", 3, **of_case())],
        "failed",
    ),
    "parked before it is decided": ([received(), parked(1, "decide", **of_case())], "waiting"),
    "parked, then decided": ([received(), parked(1, "decide", **of_case()), decided(0.5)], "running"),
    "decided, then parked": ([received(), decided(1), parked(2, "act", **of_case())], "waiting"),
    "parked, then done": (
        [received(), decided(1), parked(2, "act", **of_case()), acted(3, "completed")],
        "completed",
    ),
    "done, and dead afterwards": (
        [received(), decided(1), acted(2, "completed"), dead_letter(3, **of_case())],
        "failed",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_status_of_a_case(client: Client, name: str) -> None:
    records, status = CASES[name]
    land(client, *reversed(records))
    assert rows(client, "SELECT subject, case_id, status FROM cases") == [
        {"subject": "ticket-1", "case_id": of_case()["case_id"], "status": status}
    ]


def test_a_case_says_what_it_cost_and_when(client: Client) -> None:
    records = [received(), decided(1), acted(2, "running"), decided(3, step=1), acted(4, "completed", step=1)]
    land(client, *records)
    land(client, *records, first=50)  # the same records again, as after a crash
    (case,) = rows(client, "SELECT * FROM cases")
    assert (case["decisions"], case["cost_microusd"], case["input_tokens"], case["output_tokens"]) == (
        2,
        8_400,
        200,
        40,
    )
    assert (case["received_at"], case["last_at"]) == (at(0), at(4))
    assert (case["agent"], case["charter_version"], case["event_id"]) == (AGENT, "v1", "evt-1")
    assert (case["action"], case["confidence"], case["disposition"]) == ("respond", 0.9, "execute")


def test_a_failed_case_says_why(client: Client) -> None:
    land(client, received(), decided(1), dead_letter(2, **of_case()))
    assert rows(client, "SELECT reason FROM cases") == [{"reason": "act: Boom: it broke"}]


def test_costs_by_day_count_each_record_once(client: Client) -> None:
    records = [received(), decided(1), decided(24 * 3600, event_id="evt-2")]
    land(client, *records)
    land(client, *records[1:], first=1)
    costs = rows(client, "SELECT day, cases, decisions, cost_microusd FROM costs_by_day ORDER BY day")
    assert [(str(row["day"]), row["cases"], row["decisions"], row["cost_microusd"]) for row in costs] == [
        ("2026-11-20", 1, 1, 4_200),
        ("2026-11-21", 1, 1, 4_200),
    ]


def test_decisions_show_what_explains_them(client: Client) -> None:
    land(client, decided(1))
    (decision,) = rows(client, "SELECT * FROM decisions")
    assert decision["kind"] == "respond"
    assert json.loads(decision["parameters"]) == {"text": "It leaves tomorrow."}
    assert decision["reasoning"] == "The customer asks where the parcel is."
    assert json.loads(decision["verdicts"]) == [{"rule": "refund-cap", "passed": True, "reason": ""}]
    assert (decision["prompt_sha256"], decision["reserved_microusd"]) == ("a" * 64, 20_000)
    assert decision["decided_at"] == at(1)


def test_steps_are_one_row_each(client: Client) -> None:
    steps = [outcome(0, from_cache=True), outcome(1, "failed", error="500", attempts=3)]
    land(client, acted(2, "failed", outcomes=steps), acted(3, "completed", event_id="evt-2"))
    found = rows(client, "SELECT * FROM steps ORDER BY position")
    assert [(row["position"], row["handler"], row["status"], row["error"], row["attempts"]) for row in found] == [
        (0, "reply.send", "done", None, 1),
        (1, "reply.send", "failed", "500", 3),
    ]
    assert [row["from_cache"] for row in found] == [True, False]
    assert [(row["result"], row["started_at"], row["recorded_at"]) for row in found] == [
        ('{"id":0}', at(3), at(2)),
        ('{"id":1}', at(3), at(2)),
    ]


def test_a_dead_letter_says_what_became_of_it(client: Client) -> None:
    for number, verdict in enumerate(("open", "replayed", "discarded")):
        letter = {"dead_letter_id": verdict}
        land(client, dead_letter(number, subject=verdict, detail=letter), first=2 * number)
        if verdict != "open":
            land(client, ended(verdict, number + 10, letter, subject=verdict), first=2 * number + 1)
    found = rows(client, "SELECT dead_letter_id, state, stage, end_reason FROM dead_letters ORDER BY time")
    assert [tuple(row.values()) for row in found] == [
        ("open", "open", "act", ""),
        ("replayed", "replayed", "act", "by Ada"),
        ("discarded", "discarded", "act", "by Ada"),
    ]


def test_dead_letters_name_where_the_record_lay(client: Client) -> None:
    land(client, dead_letter(2, **of_case()))
    (letter,) = rows(client, "SELECT * FROM dead_letters")
    assert (letter["stage"], letter["topic"], letter["partition"], letter["offset"]) == ("act", "act", 1, 7)
    assert (letter["error"], letter["message"], letter["case_id"]) == ("Boom", "it broke", of_case()["case_id"])


ENDS: dict[str, tuple[list[AuditRecord], list[tuple[str, str]]]] = {
    "no charter matched": ([record("ignored", 0, status="ignored", reason="no charter")], [("ignored", "ended")]),
    "does not fit the schema": ([record("rejected", 0, status="failed", reason="data.x")], [("rejected", "ended")]),
    "rejected, offered again and done": (
        [rejected(-9), received(), decided(1), acted(2, "completed")],
        [("completed", "ended")],
    ),
    "done by one agent and rejected by the other": (
        [rejected(-9, "other"), received(), decided(1), acted(2, "completed")],
        [("rejected", "ended")],
    ),
    "refused by its limit, and rejected when it was offered again": (
        [not_admitted(-9), rejected(1)],
        [("rejected", "ended")],
    ),
    "rejected, and refused by its limit when it was offered again": (
        [rejected(-9), not_admitted(1)],
        [("refused", "ended")],
    ),
    "ignored, offered again and done": (
        [record("ignored", -9, status="ignored"), received(), decided(1), acted(2, "completed")],
        [("completed", "ended")],
    ),
    "on its way": ([received()], [("running", "running")]),
    "waits for a person": ([received(), decided(1, status="needs_approval")], [("needs_approval", "resting")]),
    "done": ([received(), decided(1), acted(2, "completed")], [("completed", "ended")]),
    "done, and sent twice": (
        [received(), decided(1), acted(2, "completed"), record("ignored", 3, status="ignored", reason="duplicate")],
        [("completed", "ended")],
    ),
    "one of two agents is not done": (
        [received(), decided(1), acted(2, "completed"), received(agent="other")],
        [("running", "running")],
    ),
    "one of two agents failed": (
        [
            received(),
            decided(1),
            acted(2, "completed"),
            received(agent="other"),
            dead_letter(3, **of_case(agent="other")),
        ],
        [("failed", "ended")],
    ),
    "dead before it was a case": ([dead_letter(1, detail={"topic": "ingest"})], [("failed", "ended")]),
    "dead before it was a case, replayed": (
        [dead_letter(1, detail={"topic": "ingest"}), ended("replayed", 2)],
        [("running", "running")],
    ),
    "dead before it was a case, replayed and done": (
        [
            dead_letter(1, detail={"topic": "ingest"}),
            ended("replayed", 2),
            received(),
            decided(3),
            acted(4, "completed"),
        ],
        [("completed", "ended")],
    ),
    "dead before it was a case, replayed and dead again": (
        [
            dead_letter(1, detail={"topic": "ingest"}),
            ended("replayed", 2),
            dead_letter(3, detail={"topic": "ingest", "dead_letter_id": "dl-2"}),
        ],
        [("failed", "ended")],
    ),
    "dead before it was a case, discarded": (
        [dead_letter(1, detail={"topic": "ingest"}), ended("discarded", 2)],
        [("failed", "ended")],
    ),
    "could not be read, and was replayed": (
        [dead_letter(1, **UNREAD, detail={"topic": "ingest"}), ended("replayed", 2, **UNREAD)],
        [],
    ),
    "waits behind a dead letter": ([parked(1, "ingest")], [("waiting", "resting")]),
    "waited behind a dead letter, and is done": (
        [parked(1, "ingest"), received(), decided(3), acted(4, "completed")],
        [("completed", "ended")],
    ),
    "two that could not be read": (
        [
            dead_letter(1, event_id="", event_source="", event_type="", subject="", detail={"topic": "ingest"}),
            dead_letter(2, **UNREAD, subject="", detail={"topic": "ingest", "dead_letter_id": "dl-2"}),
        ],
        [("failed", "ended"), ("failed", "ended")],
    ),
    "an unreadable audit record is no event": (
        [dead_letter(1, event_id="", event_source="", event_type="", detail={"topic": "audit"})],
        [],
    ),
    "an order to the stages is no event": ([record("control", 1, event_id="", event_source="", event_type="")], []),
}


@pytest.mark.parametrize("name", ENDS)
def test_every_event_has_one_end(client: Client, name: str) -> None:
    records, expected = ENDS[name]
    land(client, *records)
    land(client, *records, first=100)
    ends = rows(client, "SELECT status, state, ended_at FROM ends")
    assert [(end["status"], end["state"]) for end in ends] == expected
    assert all((end["ended_at"] is not None) == (end["state"] == "ended") for end in ends)


def test_a_question_about_a_subject_reads_only_that_subject(client: Client) -> None:
    """The condition reaches the table through the views; otherwise the cost of `why` would grow with the table."""
    about = [{**of_case(f"evt-{number}"), "subject": f"ticket-{number}"} for number in range(20_000)]
    land(client, *[record("received", 0, record_id=str(number), **case) for number, case in enumerate(about)])
    for table in ("audit_records", "case_states"):
        client.command(f"OPTIMIZE TABLE {table} FINAL")
    for view in ("records", "cases", "ends"):
        found = client.query(f"SELECT * FROM {view} WHERE subject = 'ticket-77'")
        assert found.row_count == 1
        assert int(found.summary["read_rows"]) < 15_000, view
