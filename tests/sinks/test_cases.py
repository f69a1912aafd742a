"""Cases by how they ended, and the events without a case because their data is invalid."""

from __future__ import annotations

from collections.abc import Collection

from clickhouse_connect.driver.client import Client

from nightdesk.sinks.cases import STATUSES, cases, counted
from tests.sinks.records import AGENT, acted, at, land, of_case, record

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
