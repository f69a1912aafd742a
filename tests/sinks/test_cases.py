"""Cases by how they ended, and the events without a case because their data is invalid."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from clickhouse_connect.driver.client import Client

from nightdesk.schemas.audit import EventDetail
from nightdesk.schemas.records import AuditRecord, DeadLetterEnd
from nightdesk.sinks.case_search import CaseQuery, Period, cases_by_filter, facets, tally
from nightdesk.sinks.cases import STATUSES, cases, counted
from tests.sinks.records import AGENT, acted, at, dead_letter, land, of_case, record

CASE = of_case()["case_id"]

EVENTS = (
    record("received", 0, **of_case("evt-1")),
    acted(1, "failed", event_id="evt-1", reason="step 0 (reply.send) failed: no such template"),
    record("received", 2, **of_case("evt-2")),
    acted(3, "completed", event_id="evt-2"),
    record("rejected", 4, event_id="evt-3", agent=AGENT, status="failed", reason=f"{AGENT}: text is missing"),
    record("rejected", 5, event_id="evt-4", agent="other", status="failed", reason="other: text is missing"),
    record("ignored", 6, event_id="evt-5", status="ignored", reason="no charter accepts it"),
)


def _listed(client: Client, statuses: Collection[str] = (), **more: object) -> list[tuple[str, str, str | None]]:
    found = cases(client, more.pop("since", at(-1)), statuses, **more)  # type: ignore[arg-type]  # as the tests give them
    return [(one.event_id, one.status, one.agent) for one in found]


def test_they_are_listed_with_the_reason_and_what_why_takes(client: Client) -> None:
    land(client, *EVENTS)
    rejected, failed = cases(client, at(-1), ("failed", "rejected"), AGENT)
    assert (failed.id, failed.reason) == (of_case()["case_id"], "step 0 (reply.send) failed: no such template")
    assert (rejected.id, rejected.reason, rejected.status) == ("evt-3", f"{AGENT}: text is missing", "rejected")
    assert (failed.subject, failed.event_type, failed.time) == ("ticket-1", "ticket.created", at(1))


def test_they_are_chosen_by_status_agent_and_time_and_the_newest_come_first(client: Client) -> None:
    land(client, *EVENTS, *EVENTS, first=0)  # landed twice: each is one
    everything = [
        ("evt-4", "rejected", "other"),
        ("evt-3", "rejected", AGENT),
        ("evt-2", "completed", AGENT),
        ("evt-1", "failed", AGENT),
    ]
    assert _listed(client) == everything
    assert _listed(client, ("rejected",)) == everything[:2]
    assert _listed(client, agent=AGENT) == everything[1:]
    assert _listed(client, since=at(4.5)) == everything[:1]
    assert _listed(client, limit=2) == everything[:2]
    assert _listed(client, ("escalated",)) == []


def test_a_rejected_event_that_was_offered_again_is_listed_once_and_not_after_it_was_taken(client: Client) -> None:
    again = record("rejected", 9, event_id="evt-3", agent=AGENT, status="failed", reason="still missing")
    land(client, *EVENTS, again)
    [rejected] = cases(client, at(-1), ("rejected",), AGENT)
    assert (rejected.reason, rejected.time) == ("still missing", at(9))
    land(client, record("received", 10, **of_case("evt-3")), first=100)
    assert _listed(client, ("rejected",)) == [("evt-4", "rejected", "other")]
    assert counted(client, at(-1), ("rejected",)) == {"rejected": 1}


def test_they_are_counted(client: Client) -> None:
    assert counted(client, at(-1), ("failed", "rejected")) == {"failed": 0, "rejected": 0}
    land(client, *EVENTS)
    assert counted(client, at(-1), ("failed", "rejected")) == {"failed": 1, "rejected": 2}
    assert counted(client, at(4.5), STATUSES)["rejected"] == 1


def _unread(seconds: float, letter: str = "dl-1", topic: str = "ingest", **fields: object) -> AuditRecord:
    """An event that could not be read or accepted, in the dead letter `letter`."""
    about = {"event_id": "", "event_source": "", "event_type": "", "reason": f"{letter}: no Avro", **fields}
    return dead_letter(seconds, detail={"dead_letter_id": letter, "topic": topic, "stage": topic}, **about)


def _ended(kind: str, seconds: float, letter: str = "dl-1", **fields: object) -> AuditRecord:
    end = DeadLetterEnd(dead_letter_id=letter, verdict=kind, person="ada", reason="mended", time=at(seconds))  # type: ignore[arg-type]  # as the tests give them
    status = "running" if kind == "replayed" else "failed"
    return record(kind, seconds, end, **{"event_id": "", "event_source": "", "status": status, **fields})


def _kept(kind: str, seconds: float, **fields: object) -> AuditRecord:
    """An offer of an event that made no case, with its place in the log."""
    detail = EventDetail(data="{}", time=at(0), partition=0, offset=int(seconds))
    return record(kind, seconds, detail, **{"agent": AGENT, "status": "failed", "reason": "text is missing", **fields})


# What befell events, and the rows and the count that follow: (status, id for `why`) of those that failed.
STORIES: Mapping[str, tuple[Sequence[AuditRecord], Sequence[tuple[str, str]]]] = {
    "no Avro": ([_unread(1)], [("failed", "ticket-1")]),
    "no Avro and no key": ([_unread(1, subject="")], [("failed", "dl-1")]),
    "no Avro, twice": ([_unread(1), _unread(2, "dl-2")], [("failed", "ticket-1")] * 2),
    "no Avro, replayed": ([_unread(1), _ended("replayed", 2)], []),
    "no Avro, and again when replayed": (
        [_unread(1), _ended("replayed", 2), _unread(3, "dl-2")],
        [("failed", "ticket-1")],
    ),
    "no Avro, discarded": ([_unread(1), _ended("discarded", 2)], [("failed", "ticket-1")]),
    "an impossible time": ([_unread(1, event_id="evt-1")], [("failed", "evt-1")]),
    "an impossible time, sent twice": (
        [_unread(1, event_id="evt-1"), _unread(2, "dl-2", event_id="evt-1")],
        [("failed", "evt-1")],
    ),
    "an impossible time, replayed and taken": (
        [
            _unread(1, event_id="evt-1"),
            _ended("replayed", 2, event_id="evt-1"),
            record("received", 3, **of_case()),
        ],
        [],
    ),
    "the record of another stage": ([_unread(1, topic="control")], []),
    "a record of a case": ([record("received", 0, **of_case()), dead_letter(1, **of_case())], [("failed", CASE)]),
    "a record of a case, replayed": (
        [record("received", 0, **of_case()), dead_letter(1, **of_case()), _ended("replayed", 2, **of_case())],
        [],
    ),
    "a record of a case, replayed in vain": (
        [
            record("received", 0, **of_case()),
            dead_letter(1, **of_case()),
            _ended("replayed", 2, **of_case()),
            acted(3, "failed"),
        ],
        [("failed", CASE)],
    ),
    "rejected": ([_kept("rejected", 1)], [("rejected", "evt-1")]),
    "rejected by two": ([_kept("rejected", 1), _kept("rejected", 1, agent="b")], [("rejected", "evt-1")] * 2),
    "rejected by one, taken by another": (
        [_kept("rejected", 1, agent="b"), record("received", 2, **of_case())],
        [("rejected", "evt-1")],
    ),
    "rejected, then refused by the limit of its subject": (
        [_kept("rejected", 1), _kept("refused", 2, **of_case() | {"status": "refused"})],
        [],
    ),
    "refused by the limit of its subject, then rejected": (
        [_kept("refused", 1, **of_case() | {"status": "refused"}), _kept("rejected", 2)],
        [("rejected", "evt-1")],
    ),
    "a step that failed": ([record("received", 0, **of_case()), acted(1, "failed")], [("failed", CASE)]),
}


def _of_story(name: str) -> list[AuditRecord]:
    """Its records, about a subject and a case of its own."""
    records = STORIES[name][0]
    return [
        one.model_copy(
            update={
                "record_id": f"{name}/{number}",
                "subject": one.subject and name,
                "case_id": one.case_id and f"{name}/{one.case_id}",
            }
        )
        for number, one in enumerate(records)
    ]


def test_whatever_goes_wrong_is_listed_counted_and_found(client: Client) -> None:
    records = [one for name in STORIES for one in _of_story(name)]
    for copy in range(2):  # landed twice: each is one
        land(client, *records, first=1000 * copy)
    ids = {CASE: "{}/" + CASE, "ticket-1": "{}"}
    expected = sorted((of, ids.get(id_, id_).format(name)) for name in STORIES for of, id_ in STORIES[name][1])
    wrong, period = ("failed", "rejected"), Period(at(-1), at(99))
    assert sorted((one.status, one.id) for one in cases(client, at(-1), wrong)) == expected
    found = cases_by_filter(client, CaseQuery(period, wrong))
    assert sorted((one.status, one.id) for one in found) == expected
    assert {one.subject for one in found} == {
        name if records[0].subject else "" for name, (records, rows) in STORIES.items() if rows
    }
    counts = {of: [status for status, _ in expected].count(of) for of in wrong}
    assert counted(client, at(-1), wrong) == counts
    for divided in (facets(client, period), tally(client, period, 60)):
        assert {of: sum(one.cases for one in divided if one.status == of) for of in wrong} == counts
    assert cases_by_filter(client, CaseQuery(Period(at(-1), at(99), ("nobody",)), wrong)) == []
    assert cases_by_filter(client, CaseQuery(Period(at(-9), at(-1)), wrong)) == []
