"""Facts say what a recount of all records says, however often, in whatever order and in whatever batches they came."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from nightdesk.processors.endings import AuditLine, CaseEnding, EventKey
from nightdesk.schemas.audit import CancelledDetail, EventDetail, ParkedDetail, StepCostDetail
from nightdesk.schemas.records import AuditRecord
from nightdesk.sinks.audit.table import AuditTable, InsertSlice
from nightdesk.sinks.clickhouse import retention
from tests.sinks.records import acted, at, dead_letter, decided, land, of_case, outcome, question, record

VIEWS = (
    "cases",
    "decisions",
    "steps",
    "model_calls",
    "dead_letters",
    "ends",
    "costs_by_day",
    "impact",
    "follow_ups",
    "budget_entries",
)
# The life of a case, counted anew from all of its records.
RECOUNT = """
WITH
    if(r.kind = 'parked', concat('parked ', JSONExtractString(r.detail, 'topic')), toString(r.kind)) AS place,
    indexOf(['received', 'deferred', 'refused', 'parked decide', 'decided', 'parked act', 'waits', 'acted'],
        if(place IN ('approval', 'queued') OR (place = 'acted' AND r.status = 'failed'), 'waits', place)) AS lifecycle,
    countIf(r.kind = 'dead_letter') > 0
        AND maxIf(r.time, r.kind = 'dead_letter') >= maxIf(r.time, r.kind IN ('acted', 'replayed')) AS is_dead
SELECT
    r.case_id AS case_id, any(r.subject) AS subject, any(r.event_id) AS event_id, any(r.agent) AS agent,
    argMax(r.charter_version, (r.step, lifecycle, r.time)) AS charter_version,
    if(is_dead, 'failed', argMax(toString(r.status), (r.kind != 'dead_letter', r.step, lifecycle, r.time))) AS status,
    if(is_dead, argMaxIf(r.reason, r.time, r.kind = 'dead_letter'),
        argMax(r.reason, (r.kind != 'dead_letter', r.step, lifecycle, r.time))) AS reason,
    argMaxIf(r.action, (r.step, r.time), r.kind = 'decided') AS action,
    argMaxIf(r.confidence, (r.step, r.time), r.kind = 'decided') AS confidence,
    countIf(r.kind = 'decided') AS decisions, sum(r.input_tokens) AS input_tokens,
    sum(r.output_tokens) AS output_tokens, sum(r.cost_microusd) AS cost_microusd, max(r.time) AS last_at
FROM records AS r WHERE r.case_id IS NOT NULL GROUP BY r.case_id ORDER BY r.case_id
"""


def rows(client: Client, query: str) -> list[dict[str, Any]]:
    return list(client.query(query).named_results())


def case_of(number: int, dice: random.Random) -> Iterator[AuditRecord]:
    """What may be recorded of one case, in an order of time that the dice give."""
    case = of_case(f"evt-{number}")
    about = {**case, "subject": f"ticket-{number % 7}"}
    # A record that could not be read names neither the agent nor the charter.
    unread = {**about, "agent": None, "charter_version": None}
    yield record("received", 0, EventDetail(data="{}", time=at(0)), **about)
    for step in range(dice.randrange(3)):
        cost, seconds = dice.randrange(9000), [dice.uniform(1, 9000) for _ in range(4)]
        yield record("asked", seconds[0] - 1, question(), step=step, provider="anthropic", **about)
        yield decided(seconds[0], step, event_id=f"evt-{number}", subject=about["subject"], cost_microusd=cost)
        if dice.random() < 0.3:
            yield record("approval", seconds[1], step=step, status="needs_approval", **about)
        if dice.random() < 0.3:
            yield record("queued", dice.uniform(1, 9000), step=step, status="waiting", **about)
        if dice.random() < 0.3:
            parked = ParkedDetail(behind="dl", topic=dice.choice(["act", "decide"]), partition=0, offset=1)
            yield record("parked", seconds[2], parked, step=step, status="waiting", **about)
        if dice.random() < 0.6:
            status = dice.choice(["completed", "failed", "running"])
            done = [outcome(position) for position in range(dice.randrange(3))]
            yield acted(seconds[3], status, step, done, event_id=f"evt-{number}", subject=about["subject"])
    if dice.random() < 0.4:
        letter = {"dead_letter_id": f"dl-{number}"}
        yield dead_letter(dice.uniform(1, 9000), detail=letter, **dice.choice([about, unread]))


def with_follow_up(number: int) -> list[AuditRecord]:
    """The first stays, one is undone, one is cancelled, and of the last nobody knows who asked for it."""
    about = {"due_at": at(10**6 + number).isoformat(), "timer_id": f"timer-{number}"}
    told = json.dumps({**about, "type": "ticket.followup"})
    steps = [outcome(0), outcome(1, handler="remind", result=told, attempts=0)]
    if number == 1:
        steps.append(outcome(1, "undone", handler="remind", attempts=0))
    asked = acted(50, "completed", outcomes=steps, event_id=f"evt-r{number}")
    cancelled = record("cancelled", 60, CancelledDetail.model_validate(about), event_id=f"evt-r{number}")
    return [[asked], [asked], [asked, cancelled], [cancelled]][number]


def night(seed: int) -> list[AuditRecord]:
    dice = random.Random(seed)
    found = [one for number in range(40) for one in case_of(number, dice)]
    found += [record("ignored", number, event_id=f"other-{number}") for number in range(5)]
    found += [one for number in range(4) for one in with_follow_up(number)]
    doubted = StepCostDetail(case_id="c-1", held_microusd=5, claimed_microusd=9)
    corrected = doubted.model_copy(update={"corrected_microusd": 7, "person": "ada"})
    found += [record("budget", number, one, step=1) for number, one in enumerate((doubted, corrected))]
    dice.shuffle(found)
    return found


def answers(client: Client) -> dict[str, list[dict[str, Any]]]:
    lines = "case_lines FINAL"  # `nightdesk night` reads the table
    found = {view: rows(client, f"SELECT * FROM {view} ORDER BY ALL") for view in VIEWS}
    return {**found, lines: rows(client, f"SELECT * EXCEPT precedence FROM {lines} ORDER BY ALL")}


@pytest.mark.parametrize("seed", range(3))
def test_facts_are_what_a_recount_says_and_no_repetition_changes_them(client: Client, seed: int) -> None:
    records = night(seed)
    land(client, *records)
    recounted = rows(client, RECOUNT)
    names = ", ".join(recounted[0])
    assert rows(client, f"SELECT {names} FROM cases ORDER BY case_id") == recounted
    first = answers(client)
    assert all(first.values())
    for start in range(0, len(records), 17):  # the same records from other places of the log, cut otherwise
        land(client, *records[start : start + 17], first=1000 + start)
    AuditTable(lambda: client).feed([InsertSlice("test.audit", 0, records, range(len(records)))])
    assert answers(client) == first
    for table in retention.NAMES:
        client.command(f"OPTIMIZE TABLE {table} FINAL")
    assert answers(client) == first


@pytest.mark.parametrize(
    ("kind", "status"), [("queued", "waiting"), ("approval", "needs_approval"), ("acted", "completed")]
)
def test_what_failed_and_was_replayed_is_what_it_says_next(client: Client, kind: str, status: str) -> None:
    of = {"step": 0, **of_case()}
    told = [
        record("received", 0, EventDetail(data="{}", time=at(0)), **of),
        decided(1),
        record("acted", 2, status="failed", **of),
        dead_letter(2, detail={"dead_letter_id": "dl-1"}, **of),
        record("replayed", 3, **of),
        record(kind, 4, status=status, **of),
    ]
    ending = CaseEnding(EventKey("ticket-1", "shop/helpdesk", "evt-1"))
    for one in told:
        ending.add(AuditLine(*(getattr(one, name) for name in AuditLine._fields)))
    land(client, *reversed(told))
    (case,) = rows(client, "SELECT status FROM cases")
    assert (case["status"], ending.ended) == (status, status)


def test_what_a_failed_insert_left_out_of_the_facts_comes_with_the_next(client: Client) -> None:
    """ClickHouse stores the rows of a table before those of its views, and takes nothing back."""
    received = record("received", 0, **of_case())
    client.command("ALTER TABLE case_states ADD CONSTRAINT bearable CHECK subject != 'ticket-1'")
    with pytest.raises(DatabaseError, match="bearable"):
        land(client, received)
    client.command("ALTER TABLE case_states DROP CONSTRAINT bearable")
    assert (len(rows(client, "SELECT * FROM records")), rows(client, "SELECT * FROM cases")) == (1, [])
    land(client, received)
    assert [case["case_id"] for case in rows(client, "SELECT * FROM cases")] == [received.case_id]


def test_rows_that_are_stored_already_fill_the_facts_only(client: Client) -> None:
    records = [record("received", 0, **of_case(f"evt-{number}")) for number in range(4)]
    table = AuditTable(lambda: client)
    land(client, *records[:2], first=10)
    client.command("TRUNCATE TABLE case_states")
    new, stored = InsertSlice("test.audit", 0, records, range(10, 14)).divided(
        {10: records[0].record_id, 11: records[1].record_id}
    )
    assert (list(new.offsets), list(stored.offsets)) == ([12, 13], [10, 11])
    table.feed([stored])
    assert rows(client, "SELECT count() AS n FROM audit_records") == [{"n": 2}]
    assert {case["event_id"] for case in rows(client, "SELECT * FROM cases")} == {"evt-0", "evt-1"}


def test_an_id_of_any_kind_leads_to_its_subject(client: Client) -> None:
    one = decided(1)
    land(client, one)
    for known in (one.subject, one.event_id, one.case_id, one.decision_id):
        found = client.query("SELECT subject FROM ids WHERE id = sipHash64({id:String})", parameters={"id": known})
        assert found.result_rows == [("ticket-1",)]


def test_no_view_of_an_insert_looks_for_equal_rows_among_ids(client: Client) -> None:
    """The table keeps one row of equal ones anyway. DISTINCT took more than all other views of an insert together."""
    query = client.command("SHOW CREATE TABLE ids_of_records")
    assert "DISTINCT" not in str(query).upper()


def test_rows_of_one_key_in_one_insert_are_one_row(client: Client) -> None:
    """An insert does not merge its own rows (`optimize_on_insert`): who reads does."""
    land(client, decided(1), decided(1), decided(1), first=10)
    for table in ("case_states", "decision_facts", "case_lines"):
        assert rows(client, f"SELECT count() AS n FROM {table} FINAL") == [{"n": 1}], table
    assert [one["decision_id"] for one in rows(client, "SELECT * FROM decisions")] == [decided(1).decision_id]


@pytest.mark.parametrize("text", ["", 'é 😀\t\n\\ "quoted"', "\u2028 a \u0000 b", "[1, 2]", "null", "x" * 20_000])
def test_a_text_is_in_the_facts_as_it_was_recorded(client: Client, text: str) -> None:
    """A view may parse a record's detail once, with the types of all its fields."""
    done = acted(3, "failed", 0, [outcome(0, "failed", result=text, error=text or None), outcome(1)])
    asked = record("asked", 0.5, question(prompt=text, reply=text), provider="anthropic", **of_case())
    detail = json.loads(decided(1).detail) | {"reasoning": text, "parameters": text, "prompt_sha256": None}
    verdicts = [{"rule": text, "passed": False, "reason": text}]
    decision = decided(1).model_copy(update={"detail": json.dumps({**detail, "verdicts": verdicts})})
    land(client, asked, decision, done)
    (one,) = rows(client, "SELECT * FROM decisions")
    assert (one["reasoning"], one["parameters"], one["prompt_sha256"]) == (text, text, None)
    assert json.loads(one["verdicts"]) == verdicts
    (call,) = rows(client, "SELECT * FROM model_calls")
    assert (call["prompt"], call["reply"], call["cost_microusd"]) == (text, text, 700)
    first, second = rows(client, "SELECT * FROM steps ORDER BY position")
    assert (first["result"], first["error"], first["from_cache"]) == (text, text or None, 0)
    assert (second["started_at"], second["latency_ms"]) == (at(3), 12)


def test_a_decision_whose_text_is_gone_or_lacks_fields_is_in_the_facts(client: Client) -> None:
    for number, detail in enumerate(("", "{}", "null", "no JSON")):
        land(client, decided(1, event_id=f"evt-{number}").model_copy(update={"detail": detail}), first=10 * number)
    found = rows(client, "SELECT reasoning, verdicts, prompt_sha256, reserved_microusd FROM decisions")
    assert found == [{"reasoning": "", "verdicts": "", "prompt_sha256": None, "reserved_microusd": 0}] * 4


def test_the_columns_of_the_feed_are_those_of_a_row(client: Client) -> None:
    """A column that the feed lacks would be missing in facts that are filled again, without an error."""
    columns = (
        "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND default_kind != 'MATERIALIZED'"
    )
    of = {
        table: set(client.query(f"{columns} AND table = '{table}'").result_rows)
        for table in ("audit_records", "audit_feed")
    }
    assert of["audit_records"] == of["audit_feed"]
