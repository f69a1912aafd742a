"""Events of which no case was made are found with their place, until an agent takes them."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.schemas.audit import EventDetail
from nightdesk.schemas.records import AuditRecord
from nightdesk.sinks.untaken import UNTAKEN_STATUSES, UntakenStatus, untaken_events
from tests.sinks.records import AGENT, at, land, of_case, record


def _lies(kind: str, seconds: float, offset: int, **fields: str) -> AuditRecord:
    detail = EventDetail(data="{}", time=at(-5), partition=2, offset=offset)
    return record(kind, seconds, detail, status="refused", reason=f"{kind} {offset}", **fields)


def _rejected(seconds: float, event_id: str, offset: int, agent: str = AGENT) -> AuditRecord:
    return _lies("rejected", seconds, offset, event_id=event_id, agent=agent)


LINES = (
    _rejected(1, "evt-1", 11),
    _lies("ignored", 2, 12, event_id="evt-2"),
    _lies("refused", 3, 13, **of_case("evt-3")),
    _rejected(4, "evt-4", 14, "other"),
    record("refused", 5, status="refused", reason="the budget is spent", **of_case("evt-5")),
    record("ignored", 6, status="ignored", event_id="evt-6", reason="written by an older version, without a place"),
    # Taken since, so neither the first record nor a duplicate is offered again.
    _rejected(7, "evt-7", 17),
    record("received", 8, **of_case("evt-7")),
    _lies("ignored", 9, 18, event_id="evt-7"),
    # One agent took it, the other did not.
    record("received", 10, **of_case("evt-8")),
    _rejected(10, "evt-8", 20, "other"),
    # Offered again, and rejected again: the later place counts.
    _rejected(11, "evt-9", 21),
    _rejected(12, "evt-9", 22),
)


@pytest.mark.parametrize(
    ("statuses", "agent", "since", "found"),
    [
        (UNTAKEN_STATUSES, "", -1, [11, 12, 13, 14, 20, 22]),
        (("rejected",), "", -1, [11, 14, 20, 22]),
        (("ignored",), "", -1, [12]),
        (("refused",), "", -1, [13]),
        (UNTAKEN_STATUSES, AGENT, -1, [11, 12, 13, 22]),
        (("rejected",), "other", -1, [14, 20]),
        (UNTAKEN_STATUSES, "", 9.5, [20, 22]),
        ((), "", -1, []),
    ],
)
def test_which_are_meant(
    client: Client, statuses: tuple[UntakenStatus, ...], agent: str, since: float, found: list[int]
) -> None:
    land(client, *LINES)
    events = untaken_events(client, at(since), statuses, agent)
    assert [(one.partition, one.offset) for one in events] == [(2, offset) for offset in found]


def test_what_is_known_of_one(client: Client) -> None:
    land(client, *LINES, *LINES)
    ignored: UntakenStatus = "ignored"
    [one] = untaken_events(client, at(-1), (ignored,), event_type="ticket.created")
    assert (one.subject, one.event_source, one.event_id, one.agent) == ("ticket-1", "shop/helpdesk", "evt-2", "")
    assert (one.status, one.reason, one.time) == ("ignored", "ignored 12", at(2))
    assert untaken_events(client, at(-1), UNTAKEN_STATUSES, event_type="parcel.lost") == []
