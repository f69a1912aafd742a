"""The roll-ups say what a count by hand says, whatever comes again, late or in another order."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from benchmarks.audit_rows import age_hours
from nightdesk.processors.endings import AuditLine, CaseEnding, EventKey
from nightdesk.schemas.approval_details import ApprovalReplyDetail, ApprovalRequestDetail
from nightdesk.schemas.audit import DecisionDetail
from nightdesk.schemas.audit_kinds import read
from nightdesk.schemas.records import AuditRecord
from nightdesk.sinks.audit.hours import count_hours
from nightdesk.sinks.audit.table import AuditTable, InsertSlice
from nightdesk.sinks.clickhouse.roll_ups import ROLL_UPS
from tests.sinks.records import START, acted, at, dead_letter, decided, land, of_case, outcome, record

ANSWERS = {"approve": "approved", "edit": "edited", "reject": "rejected", "expire": "expired"}
COLUMNS = (
    "cases, running, needs_approval, deferred, waiting, failed, refused, escalated, completed, dry_run, decisions, "
    "input_tokens, output_tokens, cost_microusd, completed_cost_microusd, asked, approved, edited, rejected, expired, "
    "reconsidered, unanswered_microusd, saved_s, saved_microusd"
)
Group = tuple[datetime, str, str]


def case_of(number: int, dice: random.Random) -> Iterator[AuditRecord]:
    """What may be recorded of one case, three of which are opened in an hour."""
    opened = START + timedelta(minutes=20 * number)
    about: dict[str, Any] = {"subject": f"ticket-{number % 7}", "event_id": f"evt-{number}", "case_at": opened}
    about["event_type"] = dice.choice(["ticket.created", "ticket.replied"])
    known = {**of_case(f"evt-{number}"), **about}
    yield record("received", 0, **known)
    for step in range(dice.randrange(3)):
        measures = {name: dice.randrange(900) for name in ("unanswered_microusd", "baseline_s", "baseline_microusd")}
        decision = decided(dice.uniform(1, 90), step, cost_microusd=dice.randrange(9000), measures=measures, **about)
        yield decision
        for _ in range(dice.randrange(3)):
            yield approval(decision, dice.uniform(90, 180), dice.choice(["asked", *ANSWERS, "void"]))
        if dice.random() < 0.6:
            status = dice.choice(["completed", "failed", "escalated", "dry_run"])
            yield acted(dice.uniform(180, 270), status, step, [outcome(n) for n in range(dice.randrange(3))], **about)
    if dice.random() < 0.4:  # the record that could not be read named no agent
        yield dead_letter(dice.uniform(1, 270), **{**known, "agent": dice.choice([None, known["agent"]])})


def approval(decision: AuditRecord, seconds: float, verdict: str) -> AuditRecord:
    parameters = {"parameters": "{}", "reasoning": "", "payload_sha256": "a"}
    detail = (
        ApprovalRequestDetail.model_validate({"expires_at": at(9000), **parameters})
        if verdict == "asked"
        else ApprovalReplyDetail.model_validate(
            {"verdict": "approve" if verdict == "void" else verdict, "person": "ada", "counts": verdict != "void"}
        )
    )
    names = "subject event_id event_type case_id agent charter_version step decision_id case_at"
    about = {name: getattr(decision, name) for name in names.split()}
    return record("approval", seconds, detail, status="needs_approval" if verdict == "asked" else "running", **about)


def by_hand(records: Sequence[AuditRecord]) -> dict[Group, dict[str, int]]:
    """Counted in Python from the records, the first of each id."""
    cases: dict[str, list[AuditRecord]] = defaultdict(list)
    for one in {one.record_id: one for one in records}.values():
        cases[str(one.case_id)].append(one)
    found: dict[Group, Counter[str]] = defaultdict(Counter)
    for own in cases.values():
        own.sort(key=lambda one: one.time)
        first = own[0]
        assert first.case_at is not None
        agent = max(one.agent or "" for one in own)
        hour = first.case_at.replace(minute=0)
        found[hour, agent, first.event_type].update(of_the_case(own))
    return {group: dict(+counts) for group, counts in found.items()}


def of_the_case(own: Sequence[AuditRecord]) -> Counter[str]:
    ending = CaseEnding(EventKey(own[0].subject, own[0].event_source, own[0].event_id))
    for one in own:
        ending.add(AuditLine(*(getattr(one, name) for name in AuditLine._fields)))
    status = "failed" if ending.ended == "dead_letter" else ending.ended
    counts = Counter({"cases": 1, status: 1})
    for one in own:
        if one.kind == "decided":
            counts["decisions"] += 1
            counts["completed_cost_microusd"] += one.cost_microusd if status == "completed" else 0
            for name in ("input_tokens", "output_tokens", "cost_microusd"):
                counts[name] += getattr(one, name)
            counts["unanswered_microusd"] += measures_of(one).unanswered_microusd
    decisions = [one for one in own if one.kind == "decided"]
    if status == "completed" and decisions:
        last = measures_of(max(decisions, key=lambda one: (one.step, one.time)))
        counts.update(saved_s=last.baseline_s, saved_microusd=last.baseline_microusd)
    for _, name in {(one.decision_id, name) for one in own if one.kind == "approval" for name in answer_of(one)}:
        counts[name] += 1
    return counts


def measures_of(one: AuditRecord) -> DecisionDetail:
    detail = read(DecisionDetail, one.detail)
    assert detail is not None
    return detail


def answer_of(one: AuditRecord) -> Iterator[str]:
    if read(ApprovalRequestDetail, one.detail) is not None:
        yield "asked"
    reply = read(ApprovalReplyDetail, one.detail)
    if reply is not None and reply.counts:
        yield ANSWERS[reply.verdict]


def rolled_up(client: Client, view: str = "hourly") -> dict[Group, dict[str, int]]:
    rows = client.query(f"SELECT hour, agent, event_type, {COLUMNS} FROM {view}").named_results()
    names = COLUMNS.split(", ")
    return {
        (row["hour"], row["agent"], row["event_type"]): {name: row[name] for name in names if row[name]} for row in rows
    }


def closed_hours(client: Client) -> int:
    query = "SELECT uniqExact(hour) FROM hour_states WHERE hour NOT IN (SELECT hour FROM open_hours)"
    return int(client.query(query).result_rows[0][0])


def happens(client: Client, dice: random.Random, left: list[AuditRecord], landed: list[AuditRecord]) -> None:
    """One of the things that a sink does, or that happen to it."""
    what = dice.choice(["insert", "insert", "again", "feed", "count", "count", "merge"])
    if what == "insert":
        some = [left.pop() for _ in range(min(len(left), dice.randrange(1, 40)))]
        landed += some
        land(client, *some, first=dice.randrange(10_000))
    elif what == "again" and landed:  # from another place of the topic, cut otherwise
        some = dice.sample(landed, dice.randrange(1, len(landed) + 1))
        land(client, *some, first=dice.randrange(20_000, 30_000))
    elif what == "feed" and landed:
        AuditTable(lambda: client).feed([InsertSlice("test.audit", 0, landed, range(len(landed)))])
    elif what == "count":
        age_hours(client)
        count_hours(client, at_most=dice.randrange(1, 9))
    elif what == "merge":
        for table in ("hour_states", *(one.table for one in ROLL_UPS)):
            client.command(f"OPTIMIZE TABLE {table} FINAL")


@pytest.mark.parametrize("seed", range(2))
def test_roll_ups_are_what_a_count_by_hand_says_after_everything_that_happens(client: Client, seed: int) -> None:
    dice = random.Random(seed)
    left = [one for number in range(24) for one in case_of(number, dice)]
    landed: list[AuditRecord] = []
    dice.shuffle(left)
    while left:
        happens(client, dice, left, landed)
        assert rolled_up(client) == by_hand(landed)
    age_hours(client)
    assert count_hours(client, at_most=1000) > 0
    assert closed_hours(client) == 8
    assert rolled_up(client) == rolled_up(client, "hourly_recount") == by_hand(landed)
    for view, names in (("hourly_decisions", "* EXCEPT latency_ms"), ("hourly_steps", "* EXCEPT latency_ms")):
        counted, recounted = (
            client.query(f"SELECT {names} FROM {one} ORDER BY ALL").result_rows for one in (view, f"{view}_recount")
        )
        assert counted == recounted
        assert counted


def test_a_closed_hour_is_read_from_the_roll_up_and_opens_with_the_next_record(client: Client) -> None:
    land(client, record("received", 0, **of_case()))
    assert count_hours(client) == 0  # its facts may not all be there yet
    age_hours(client)
    assert (count_hours(client), closed_hours(client)) == (1, 1)
    client.command("TRUNCATE TABLE case_states")
    ((cases, running),) = client.query("SELECT cases, running FROM hourly").result_rows
    assert (cases, running) == (1, 1)
    land(client, record("received", 0, **of_case()), acted(9, "completed"))
    ((cases, completed),) = client.query("SELECT cases, completed FROM hourly").result_rows
    assert (cases, completed, closed_hours(client)) == (1, 1, 0)


def test_of_a_group_of_which_nothing_is_left_no_row_is_left(client: Client) -> None:
    """The agent of a case is not known before a record names it."""
    land(client, dead_letter(5, **{**of_case(), "agent": None}))
    age_hours(client)
    count_hours(client)
    assert [agent for _, agent, _ in rolled_up(client)] == [""]
    land(client, record("received", 0, **of_case()))
    age_hours(client)
    count_hours(client)
    assert [agent for _, agent, _ in rolled_up(client)] == ["support-triage"]


def test_a_count_that_broke_off_leaves_its_hours_open(client: Client) -> None:
    land(client, record("received", 0, **of_case()))
    age_hours(client)
    client.command("ALTER TABLE hourly_step_counts ADD CONSTRAINT bearable CHECK steps = 0")
    land(client, acted(9, "completed", outcomes=[outcome(0)]))
    age_hours(client)
    with pytest.raises(DatabaseError, match="bearable"):
        count_hours(client)
    assert closed_hours(client) == 0
    client.command("ALTER TABLE hourly_step_counts DROP CONSTRAINT bearable")
    assert (count_hours(client), closed_hours(client)) == (1, 1)


def test_quantiles_are_those_of_completed_cases(client: Client) -> None:
    events = [f"evt-{number}" for number in range(100)]
    done = [acted(number + 1, "completed", event_id=event) for number, event in enumerate(events)]
    land(client, *(record("received", 0, **of_case(event)) for event in events), *done)
    age_hours(client)
    count_hours(client)
    found = client.query("SELECT quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(case_ms) FROM hourly").result_rows
    assert found[0][0] == pytest.approx([50_000, 95_000, 99_000], rel=0.03)
