"""Queries of the audit, with typed results.

Every query is correct before ClickHouse has merged its parts. A subject is the first key of `audit_records`, and an id
leads to its subjects, so a query for one is a lookup whatever the size of the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clickhouse_connect.driver.client import Client

from nightdesk.schemas.audit import ActionDetail, DecisionDetail, EventDetail
from nightdesk.schemas.audit_kinds import KINDS, read
from nightdesk.schemas.records import DeadLetter
from nightdesk.sinks.ends import ends_of_subjects
from nightdesk.sinks.halts import halts
from nightdesk.sinks.story import CaseStory, DecisionStory, EventStory, Line, OutcomeStory, Story, parsed

Row = Mapping[str, Any]

KINDS_WITH_EVENT = tuple(name for name, kind in KINDS.items() if EventDetail in kind.details)

# Subjects that an id refers to, the latest first. Two ids may have one hash, so the records are compared.
RESOLVE = """
SELECT r.subject AS subject, max(r.time) AS latest FROM audit_records AS r
WHERE r.subject IN (SELECT subject FROM ids WHERE id = sipHash64({id:String}))
    AND (r.subject = {id:String} OR r.event_id = {id:String} OR r.case_id = {id:String} OR r.decision_id = {id:String})
GROUP BY r.subject ORDER BY r.subject = {id:String} DESC, latest DESC, r.subject
"""
# Without prompts and replies, which are shown on demand: `model_calls.py`.
RECORDS = "SELECT * FROM records WHERE subject = {subject:String} AND kind != 'asked' ORDER BY time, step, `offset`"
CASES = """
SELECT * FROM cases
WHERE subject = {subject:String} AND hour IN (SELECT hour FROM ids WHERE id = sipHash64({subject:String}))
ORDER BY received_at, case_id
"""


def ends_query() -> str:
    """The events of `subjects`, in order."""
    return f"SELECT * FROM ({ends_of_subjects()}) ORDER BY received_at, event_id"  # noqa: S608 - of a view's file


def story(client: Client, asked: str) -> Story | None:
    """The story of a subject, event, case or decision id; None if the audit has no such id. An id that is a subject is
    taken as the subject.
    """
    found = _rows(client, RESOLVE, id=asked)
    if not found:
        return None
    subject = str(found[0]["subject"])
    # Records are read last. So a case never seems further than its records, and a caller that waits for its end sees
    # all of them.
    rows, ends = _rows(client, CASES, subject=subject), _rows(client, ends_query(), subjects=[subject])
    records = _rows(client, RECORDS, subject=subject)
    cases = [_case(row, records) for row in rows]
    events = [_event(row, records) for row in ends]
    if subject != asked:
        cases = [case for case in cases if asked in _ids(case)]
        wanted = {(case.event_source, case.event_id) for case in cases}
        events = [
            event for event in events if (event.event_source, event.event_id) in wanted or event.event_id == asked
        ]
    others = [str(row["subject"]) for row in found[1:] if row["subject"] != subject]
    halted = halts(client, {case.agent for case in cases if case.agent})
    return Story(asked=asked, subject=subject, events=events, cases=cases, other_subjects=others, halts=halted)


def _rows(client: Client, query: str, **parameters: Any) -> list[Row]:
    return list(client.query(query, parameters=parameters).named_results())


def _ids(case: CaseStory) -> set[str]:
    return {case.case_id, case.event_id, *(decision.decision_id for decision in case.decisions)}


def _case(row: Row, records: Iterable[Row]) -> CaseStory:
    own = [record for record in records if record["case_id"] == row["case_id"]]
    decisions = [decision for record in own if (decision := _decision(record)) is not None]
    # If failed undos were tried again there are two; the later one has every step.
    acted = {record["decision_id"]: record for record in own if record["kind"] == "acted"}
    letters = [read(DeadLetter, record["detail"]) for record in own if record["kind"] == "dead_letter"]
    return CaseStory.model_validate(
        {
            **row,
            "decisions": sorted(decisions, key=lambda decision: decision.step),
            "outcomes": [outcome for record in acted.values() for outcome in _outcomes(record)],
            "dead_letters": [letter for letter in letters if letter is not None],
            "timeline": [Line.model_validate(record) for record in own],
            "reserved_microusd": max((decision.reserved_microusd for decision in decisions), default=0),
        }
    )


def _decision(record: Row) -> DecisionStory | None:
    detail = read(DecisionDetail, record["detail"]) if record["kind"] == "decided" else None
    if detail is None:
        return None
    return DecisionStory.model_validate({**record, **detail.__dict__, "decided_at": record["time"]}, extra="ignore")


def _outcomes(record: Row) -> list[OutcomeStory]:
    detail = read(ActionDetail, record["detail"])
    about = {"decision_id": record["decision_id"], "action": record["action"], "step": record["step"]}
    return [OutcomeStory(**outcome.__dict__, **about) for outcome in detail.outcomes] if detail is not None else []


def _event(row: Row, records: Iterable[Row]) -> EventStory:
    own = [record for record in records if _event_of(record) == _event_of(row)]
    found = (read(EventDetail, record["detail"]) for record in own if record["kind"] in KINDS_WITH_EVENT)
    event = next((detail for detail in found if detail is not None), None)
    case_ids = dict.fromkeys(record["case_id"] for record in own if record["case_id"])
    about = {"time": None, "data": None} if event is None else {"time": event.time, "data": parsed(event.data)}
    agents = dict.fromkeys(record["agent"] for record in own if record["agent"])
    return EventStory.model_validate({**row, **about, "case_ids": list(case_ids), "agents": list(agents)})


def _event_of(row: Row) -> tuple[str, str]:
    return str(row["event_source"]), str(row["event_id"])
