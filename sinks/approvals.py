"""Reads from the audit which decisions wait for a person, and what the person should know about their subjects.

A decision waits from the record that asks for approval until one that answers. When the shown text changes, there is a
further request, and the one with the most changes counts. Its hash covers exactly the decision and the approved others,
and an answer with another hash does not count.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from nightdesk.processors.four_eyes import ApprovalRule
from nightdesk.schemas.approval_details import ApprovalRequestDetail, Approver, ExcludedPerson
from nightdesk.schemas.audit_kinds import read
from nightdesk.sinks.ends import ends_of_subjects
from nightdesk.sinks.pauses import pauses_since
from nightdesk.sinks.story import parsed

# Decisions without an answer after the last request or reminder. All records of one have one hour, which is in the
# roll-up or still open. Open hours are read first, so an hour that is counted meanwhile is in one of the two. A
# replaced count can add an hour, but none is missed.
_WAITS = """
WITH (SELECT groupArray(hour) FROM open_hours) AS still_open, waits AS (
    SELECT decision_id, any(a.hour) AS hour FROM records_by_kind AS a
    WHERE kind = 'approval' AND case_id IS NOT NULL AND a.hour IN (
        SELECT arrayJoin(still_open) UNION DISTINCT SELECT hour FROM hourly_counts WHERE open_approvals > 0
    )
    GROUP BY decision_id
    HAVING maxIf(time, status = 'needs_approval') > maxIf(time, status != 'needs_approval')
)
"""
ASKED = f"""{_WAITS}
SELECT r.decision_id AS decision_id, r.case_id AS case_id, r.subject AS subject, r.agent AS agent, r.action AS action,
    r.reason AS reason, r.event_source AS event_source, r.event_id AS event_id, r.time AS asked_at, r.detail AS asked,
    d.confidence AS confidence
FROM records_by_kind AS r FINAL INNER JOIN (
    SELECT decision_id, confidence FROM decisions WHERE hour IN (SELECT hour FROM waits)
) AS d ON d.decision_id = r.decision_id
WHERE r.kind = 'approval' AND (r.hour, r.decision_id) IN (SELECT hour, decision_id FROM waits)
    AND JSONExtractString(r.detail, 'verdict') = 'asked' AND startsWith(r.decision_id, {{decision:String}})
ORDER BY r.time
"""  # noqa: S608 - of constants
ANSWERED = f"""{_WAITS}
SELECT decision_id, max(time) AS answered_at FROM records_by_kind FINAL
WHERE kind = 'approval' AND hour IN (SELECT hour FROM waits) AND case_id IS NOT NULL
    AND JSONExtractString(detail, 'verdict') NOT IN ('asked', 'reminded', 'agree')
GROUP BY decision_id
"""  # noqa: S608 - of constants
# The subjects of the waiting decisions are known by then. A condition on all requests ever made would read every case.
OPEN_CASES = """
SELECT subject, case_id, agent, event_id, event_type, action, status, reason, received_at
FROM cases
WHERE status IN ('running', 'needs_approval', 'deferred', 'waiting') AND subject IN {subjects:Array(String)}
    AND hour IN (SELECT hour FROM ids WHERE id IN (SELECT sipHash64(arrayJoin({subjects:Array(String)}))))
ORDER BY received_at
"""
# Many or large events of one subject must not fill the request, so a card shows the newest ones and the beginning of
# their data.
_EVENTS = """
SELECT e.subject AS subject, e.event_source AS event_source, e.event_id AS event_id, e.event_type AS event_type,
    e.received_at AS received_at, e.status AS status, e.reason AS reason, r.data AS data
FROM ($ends) AS e LEFT JOIN (
    SELECT subject, event_source, event_id, substringUTF8(any(JSONExtractString(detail, 'data')), 1, 2000) AS data
    FROM records
    WHERE kind IN ('received', 'ignored', 'rejected') AND subject IN {subjects:Array(String)}
    GROUP BY subject, event_source, event_id
) AS r ON r.subject = e.subject AND r.event_source = e.event_source AND r.event_id = e.event_id
WHERE e.event_id != ''
ORDER BY e.received_at DESC
LIMIT 50 BY e.subject
"""


@dataclass(frozen=True, slots=True)
class Other:
    """Another decision for the same action and subject: it waits too, or was approved at `approved_at`."""

    decision_id: str
    parameters: Any
    approved_at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenCase:
    """Another case about the subject that has not ended."""

    case_id: str
    agent: str
    event_id: str
    event_type: str
    action: str | None
    status: str
    reason: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class NewerEvent:
    """An event about the subject that came after the decision's own. `data` has at most 2,000 characters."""

    event_id: str
    event_source: str
    event_type: str
    received_at: datetime
    status: str
    reason: str
    data: Any


@dataclass(frozen=True, slots=True)
class Waiting:
    """A waiting decision. `parameters` is what would be executed, `payload_sha256` binds an answer to what is shown.
    `expires_at` includes the pauses of its agent so far. `approvers` different persons have to approve it, those of
    `approved_by` have done so, nobody of `excluded` may, and nobody at all if `nobody_because` gives a reason.
    """

    decision_id: str
    subject: str
    agent: str
    action: str
    parameters: dict[str, Any]
    reasoning: str
    confidence: float
    reason: str
    asked_at: datetime
    expires_at: datetime
    payload_sha256: str
    case_id: str = ""
    approvers: int = 1
    approved_by: tuple[Approver, ...] = ()
    excluded: tuple[ExcludedPerson, ...] = ()
    nobody_because: str = ""
    others: tuple[Other, ...] = ()
    open_cases: tuple[OpenCase, ...] = ()
    newer_events: tuple[NewerEvent, ...] = ()

    def refusal(self, person: str, *, edits: bool = False) -> str:
        """Why this person's approval would not count, as the act stage says; empty if it would. A person who edits
        approves something that nobody has approved yet.
        """
        rule = ApprovalRule(approvers=self.approvers, excluded=self.excluded, nobody_because=self.nobody_because)
        return rule.refusal(person, () if edits else [one.person for one in self.approved_by])


Row = Mapping[str, Any]
# This many fit into the parameters of a query.
SUBJECTS_AT_ONCE = 100
_NEVER = datetime.fromtimestamp(0, UTC)


def events_query() -> str:
    """The newest events of `subjects`."""
    return _EVENTS.replace("$ends", ends_of_subjects())


def waiting(client: Client, decision_id: str = "", beside: bool = True) -> list[Waiting]:
    """Decisions without an answer, the oldest first. With `decision_id`: only those whose id starts with it. Without
    `beside`: not the open cases and newer events of their subjects, which cost a look-up for each subject.
    """
    answered = {row["decision_id"]: row["answered_at"] for row in client.query(ANSWERED).named_results()}
    asked = _last_asked(client.query(ASKED, parameters={"decision": decision_id}).named_results())
    # A replay asks again after the expiry.
    unanswered = [(one, row) for one, row in asked if row["asked_at"] > answered.get(one.decision_id, _NEVER)]
    if not unanswered:
        return []
    longer = pauses_since(client, [(one.agent, row["asked_at"]) for one, row in unanswered], datetime.now(UTC))
    found = [replace(one, expires_at=one.expires_at + by) for (one, _), by in zip(unanswered, longer, strict=True)]
    if not beside:
        return found
    subjects = sorted({one.subject for one, _ in unanswered})
    cases, events = (_by_subject(_of_subjects(client, query, subjects)) for query in (OPEN_CASES, events_query()))
    rows = (row for _, row in unanswered)
    return [_beside(one, next(rows), cases.get(one.subject, []), events.get(one.subject, [])) for one in found]


def _last_asked(rows: Iterable[Row]) -> list[tuple[Waiting, Row]]:
    """For each decision the last request, with the time of the first."""
    found: dict[str, tuple[int, Waiting, Row]] = {}
    for row in rows:
        asked = read(ApprovalRequestDetail, row["asked"])
        if asked is None:  # no stage has written it, because its detail has no request
            continue
        one = _waiting(row, asked)
        changes, before, _ = found.get(one.decision_id, (-1, one, row))
        if asked.changes > changes:
            found[one.decision_id] = asked.changes, replace(one, asked_at=before.asked_at), row
    return [(one, row) for _, one, row in found.values()]


def _of_subjects(client: Client, query: str, subjects: Sequence[str]) -> Iterator[Row]:
    for first in range(0, len(subjects), SUBJECTS_AT_ONCE):
        some = {"subjects": subjects[first : first + SUBJECTS_AT_ONCE]}
        yield from client.query(query, parameters=some).named_results()


def _by_subject(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(row["subject"]), []).append(row)
    return found


def _waiting(row: Row, asked: ApprovalRequestDetail) -> Waiting:
    return Waiting(
        decision_id=row["decision_id"],
        case_id=row["case_id"],
        subject=row["subject"],
        agent=row["agent"],
        action=row["action"],
        parameters=json.loads(asked.parameters),
        reasoning=asked.reasoning,
        confidence=row["confidence"],
        reason=row["reason"],
        asked_at=row["asked_at"],
        expires_at=asked.expires_at,
        payload_sha256=asked.payload_sha256,
        approvers=asked.approvers,
        approved_by=asked.approved_by,
        excluded=asked.excluded,
        nobody_because=asked.nobody_because,
        others=tuple(Other(other.decision_id, parsed(other.parameters), other.approved_at) for other in asked.others),
    )


def _beside(one: Waiting, row: Row, cases: Iterable[Row], events: Iterable[Row]) -> Waiting:
    """The decisions with what is known about their subjects, the oldest first."""
    events = list(events)
    mine = (row["event_source"], row["event_id"])
    since = next((event["received_at"] for event in events if (event["event_source"], event["event_id"]) == mine), None)
    newer = [event for event in events if since is None or event["received_at"] > since]
    return replace(
        one,
        open_cases=tuple(_of_row(OpenCase, case) for case in cases if case["case_id"] != one.case_id),
        newer_events=tuple(
            _of_row(NewerEvent, {**event, "data": parsed(event["data"])})
            for event in reversed(newer)
            if (event["event_source"], event["event_id"]) != mine
        ),
    )


def _of_row(kind: Any, row: Row) -> Any:
    return kind(**{name: row[name] for name in kind.__dataclass_fields__})
