"""Questions to the audit, with typed answers. Called by `nightdesk why`, `nightdesk up` and the console.

Every question reads the views, which are right without merges; a subject is the table's first key, so a question about
one is a lookup whatever the table has grown to.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from sinks.story import CaseStory, DecisionStory, EventStory, Halt, Line, OutcomeStory, Story

Row = Mapping[str, Any]

# Subjects that an id leads to, the latest first. One query a column: each can use its own index.
RESOLVE = """
SELECT subject, max(time) AS latest FROM (
    SELECT subject, time FROM audit_records WHERE subject = {id:String}
    UNION ALL SELECT subject, time FROM audit_records WHERE event_id = {id:String}
    UNION ALL SELECT subject, time FROM audit_records WHERE case_id = {id:String}
    UNION ALL SELECT subject, time FROM audit_records WHERE decision_id = {id:String}
) GROUP BY subject ORDER BY subject = {id:String} DESC, latest DESC, subject
"""
RECORDS = "SELECT * FROM records WHERE subject = {subject:String} ORDER BY time, step, `offset`"
CASES = "SELECT * FROM cases WHERE subject = {subject:String} ORDER BY received_at, case_id"
ENDS = "SELECT * FROM ends WHERE subject = {subject:String} ORDER BY received_at, event_id"
# The last order for each agent; an order's subject is the agent it is for.
HALTS = """
SELECT r.subject AS agent, argMax(JSONExtractString(r.detail, 'order'), r.time) AS order,
    argMax(JSONExtractString(r.detail, 'issued_by'), r.time) AS issued_by, argMax(r.reason, r.time) AS reason,
    max(r.time) AS since
FROM records AS r
WHERE r.kind = 'control' AND r.subject IN {agents:Array(String)}
GROUP BY r.subject
HAVING order IN ('pause', 'stop_all')
ORDER BY agent
"""
STATES = "SELECT state, count() AS events FROM ends WHERE received_at >= {since:DateTime64(6, 'UTC')} GROUP BY state"


def story(client: Client, asked: str) -> Story | None:
    """The story of a subject, event, case or decision id; None when nobody knows it. A subject wins over the rest."""
    found = _rows(client, RESOLVE, id=asked)
    if not found:
        return None
    subject = str(found[0]["subject"])
    records = _rows(client, RECORDS, subject=subject)
    cases = [_case(row, records) for row in _rows(client, CASES, subject=subject)]
    events = [_event(row, records) for row in _rows(client, ENDS, subject=subject)]
    if subject != asked:
        cases = [case for case in cases if asked in _ids(case)]
        wanted = {(case.event_source, case.event_id) for case in cases}
        events = [
            event for event in events if (event.event_source, event.event_id) in wanted or event.event_id == asked
        ]
    others = [str(row["subject"]) for row in found[1:] if row["subject"] != subject]
    halts = halted(client, {case.agent for case in cases if case.agent})
    return Story(asked=asked, subject=subject, events=events, cases=cases, other_subjects=others, halts=halts)


def halted(client: Client, agents: Iterable[str]) -> list[Halt]:
    """The orders that keep these agents from acting."""
    return [Halt.model_validate(row) for row in _rows(client, HALTS, agents=[*agents, "*"])]


def states(client: Client, since: datetime) -> dict[str, int]:
    """How many events that came since then are running, resting (a timer or a person has them) or ended."""
    return {str(row["state"]): int(row["events"]) for row in _rows(client, STATES, since=since)}


def _rows(client: Client, query: str, **parameters: Any) -> list[Row]:
    return list(client.query(query, parameters=parameters).named_results())


def _ids(case: CaseStory) -> set[str]:
    return {case.case_id, case.event_id, *(decision.decision_id for decision in case.decisions)}


def _case(row: Row, records: Iterable[Row]) -> CaseStory:
    by_kind: dict[str, list[Row]] = defaultdict(list)
    timeline = []
    for record in records:
        if record["case_id"] == row["case_id"]:
            by_kind[record["kind"]].append(record)
            timeline.append(Line.model_validate(record))
    decisions = [_decision(record) for record in by_kind["decided"]]
    # Where failed undos were tried again there are two; the later tells of every step.
    acted = {record["decision_id"]: record for record in by_kind["acted"]}
    return CaseStory.model_validate(
        {
            **row,
            "decisions": sorted(decisions, key=lambda decision: decision.step),
            "outcomes": [outcome for record in acted.values() for outcome in _outcomes(record)],
            "dead_letters": [_detail(record) for record in by_kind["dead_letter"]],
            "timeline": timeline,
            "reserved_microusd": max((decision.reserved_microusd for decision in decisions), default=0),
        }
    )


def _decision(record: Row) -> DecisionStory:
    detail = _detail(record)
    own = {
        "kind": detail.get("kind", ""),
        "parameters": _parsed(detail.get("parameters")),
        "decided_at": record["time"],
    }
    return DecisionStory.model_validate({**record, **detail, **own})


def _outcomes(record: Row) -> list[OutcomeStory]:
    about = {"decision_id": record["decision_id"], "action": record["action"], "step": record["step"]}
    outcomes: list[dict[str, Any]] = _detail(record).get("outcomes") or []
    return [
        OutcomeStory.model_validate({**outcome, **about, "result": _parsed(outcome.get("result"))})
        for outcome in outcomes
    ]


def _event(row: Row, records: Iterable[Row]) -> EventStory:
    own = [record for record in records if _event_of(record) == _event_of(row)]
    received = next((_detail(record) for record in own if "data" in _detail(record)), {})
    case_ids = dict.fromkeys(record["case_id"] for record in own if record["case_id"])
    return EventStory.model_validate(
        {**row, "time": received.get("time"), "data": _parsed(received.get("data")), "case_ids": list(case_ids)}
    )


def _event_of(row: Row) -> tuple[str, str]:
    return str(row["event_source"]), str(row["event_id"])


def _detail(record: Row) -> dict[str, Any]:
    found = _parsed(record["detail"])
    return found if isinstance(found, dict) else {}


def _parsed(value: Any) -> Any:
    """JSON text as data; any other text as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
