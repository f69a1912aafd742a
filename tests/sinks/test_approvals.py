"""A decision that waits is shown with what a person should know of its subject before answering."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from clickhouse_connect.driver.client import Client

from benchmarks.audit_rows import age_hours
from nightdesk.messaging.failures import Failure
from nightdesk.operations.approvals import check_seen
from nightdesk.schemas import ids
from nightdesk.schemas.approval_details import (
    ApprovalReminderDetail,
    ApprovalReplyDetail,
    ApprovalRequestDetail,
    Approver,
    OtherDecision,
)
from nightdesk.schemas.audit import ControlDetail, EventDetail
from nightdesk.schemas.records import AuditRecord
from nightdesk.sinks.approvals import ANSWERED, Waiting, waiting
from nightdesk.sinks.audit.hours import count_hours
from nightdesk.sinks.similar_approvals import similar_approvals
from tests.sinks.records import AGENT, acted, at, decided, land, of_case, record


def _received(seconds: float, event_id: str = "evt-1", text: str = "Refund!") -> AuditRecord:
    detail = EventDetail(data=f'{{"text":"{text}"}}', time=at(seconds))
    return record("received", seconds, detail, **of_case(event_id))


def _decided(seconds: float, event_id: str = "evt-1") -> AuditRecord:
    return decided(seconds, event_id=event_id, action="refund", status="needs_approval")


def _asked(seconds: float, event_id: str = "evt-1", changes: int = 0, **fields: Any) -> AuditRecord:
    detail = ApprovalRequestDetail(
        payload_sha256=f"{event_id}-{changes}",
        expires_at=at(999),
        parameters='{"amount":5}',
        reasoning="",
        changes=changes,
        **fields,
    )
    return _approval(seconds, detail, event_id)


def _approval(seconds: float, detail: Any, event_id: str = "evt-1", status: str = "needs_approval") -> AuditRecord:
    case = of_case(event_id)
    about = {"decision_id": ids.decision_id(case["case_id"], 0), "action": "refund", "status": status}
    return record("approval", seconds, detail, **about, **case)


def _ordered(seconds: float, order: Any, agent: str = AGENT) -> AuditRecord:
    detail = ControlDetail(order=order, issued_by="ada")
    return record("control", seconds, detail, subject=agent, event_id="", event_source="", event_type="")


@pytest.mark.parametrize(
    ("orders", "later_s"),
    [
        ([(5, "pause", AGENT), (25, "resume", AGENT)], 15),
        ([(12, "pause", AGENT), (14, "stop_all", "*"), (20, "resume", AGENT), (30, "resume", "*")], 18),
        ([(12, "pause", "another"), (13, "resume", AGENT)], 0),
        ([(1, "pause", AGENT), (9, "resume", AGENT)], 0),
    ],
)
def test_a_card_expires_later_by_the_pauses_of_its_agent(
    client: Client, orders: list[tuple[float, str, str]], later_s: int
) -> None:
    land(client, _received(0), _decided(1), _asked(10), *(_ordered(*order) for order in orders))
    assert _one(client).expires_at == at(999) + timedelta(seconds=later_s)


def test_while_the_agent_is_paused_a_card_has_the_time_that_it_had(client: Client) -> None:
    land(client, _received(0), _decided(1), _asked(10), _ordered(20, "pause"))
    left = _one(client).expires_at - datetime.now(UTC)
    assert abs(left - timedelta(seconds=979)) < timedelta(minutes=5)


def _count(client: Client, table: str) -> int:
    return int(client.query(f"SELECT count() FROM {table}").result_rows[0][0])


def _one(client: Client) -> Waiting:
    [found] = waiting(client)
    return found


def test_an_approval_that_is_not_enough_leaves_it_waiting(client: Client) -> None:
    agreed = ApprovalReplyDetail(verdict="agree", person="ada", counts=True, identity="claimed")
    ada = Approver(person="ada", identity="claimed")
    land(
        client,
        _received(0),
        _decided(1),
        _asked(2, approvers=2),
        _approval(3, agreed),
        _asked(3.5, changes=1, approvers=2, approved_by=(ada,)),
    )
    found = _one(client)
    assert (found.approvers, found.approved_by, found.asked_at) == (2, (ada,), at(2))
    assert (found.refusal("bob"), found.refusal("eve", edits=True)) == ("", "")
    assert found.refusal("Ada") == "four eyes: Ada has approved it already, and another person has to"
    assert found.refusal("ada", edits=True) == ""
    done = ApprovalReplyDetail(verdict="approve", person="bob", counts=True, identity="claimed")
    land(client, _approval(4, done, status="running"), first=10)
    assert waiting(client) == []


def test_alone_a_decision_is_all_there_is(client: Client) -> None:
    land(client, _received(0), _decided(1), _asked(2))
    found = _one(client)
    assert (found.others, found.open_cases, found.newer_events) == ((), (), ())
    check_seen(found)


def test_a_newer_event_is_on_the_card_whatever_became_of_it(client: Client) -> None:
    ignored = EventDetail(data='{"text":"please cancel my refund"}', time=at(5))
    about = {"event_id": "evt-2", "status": "ignored", "reason": "no charter accepts it"}
    land(client, _received(0), _decided(1), _asked(2), record("ignored", 5, ignored, **about))
    found = _one(client)
    [newer] = found.newer_events
    assert (newer.event_id, newer.status, newer.data) == ("evt-2", "ignored", {"text": "please cancel my refund"})
    with pytest.raises(Failure, match="1 newer events"):
        check_seen(found)


def test_an_older_event_and_what_has_ended_are_not(client: Client) -> None:
    land(
        client,
        _received(-9, "evt-0"),
        decided(-8, event_id="evt-0"),
        acted(-7, "completed", event_id="evt-0"),
        _received(0),
        _decided(1),
        _asked(2),
    )
    found = _one(client)
    assert (found.open_cases, found.newer_events) == ((), ())


def test_another_case_that_has_not_ended_is_on_the_card(client: Client) -> None:
    land(client, _received(-9, "evt-0"), _received(0), _decided(1), _asked(2))
    [other] = _one(client).open_cases
    assert (other.event_id, other.status) == ("evt-0", "running")


def test_what_was_shown_last_counts_and_the_age_is_that_of_the_first(client: Client) -> None:
    approved = OtherDecision(decision_id="other", parameters='{"amount":7}', approved_at=at(4))
    reminded = ApprovalReminderDetail(number=1, expires_at=at(999))
    land(client, _received(0), _decided(1), _asked(4, changes=1, others=(approved,)), _asked(2), _approval(6, reminded))
    found = _one(client)
    assert (found.payload_sha256, found.asked_at) == ("evt-1-1", at(2))
    [other] = found.others
    assert (other.decision_id, other.parameters, other.approved_at) == ("other", {"amount": 7}, at(4))
    with pytest.raises(Failure, match="1 approved before"):
        check_seen(found)


def test_what_was_answered_does_not_wait(client: Client) -> None:
    answer = ApprovalReplyDetail(verdict="expire", person="nightdesk: nobody", counts=True)
    land(client, _received(0), _decided(1), _asked(2), _approval(3, answer, status="running"))
    assert waiting(client) == []


def test_what_waits_is_looked_for_in_hours_that_have_such_a_decision(client: Client) -> None:
    answer = ApprovalReplyDetail(verdict="approve", person="ada", counts=True)
    for number in range(40):
        name, opened = f"evt-{number}", {"case_at": at(7200 * number)}
        made = [_received(0, name), _decided(1, name), _asked(2, name), _approval(3, answer, name, status="running")]
        land(client, *(one.model_copy(update=opened) for one in made), first=10 * number)

    def hours_counted() -> int:
        """Count every hour; how many rows a look for what waits reads then."""
        age_hours(client)
        while count_hours(client, at_most=100):
            pass
        return int(client.query(ANSWERED).summary["read_rows"])

    assert _count(client, "records_by_kind") == 80
    assert hours_counted() <= 2 * _count(client, "hourly_counts") + _count(client, "hour_states")
    opened = {"case_at": at(7200 * 50)}
    land(client, *(one.model_copy(update=opened) for one in (_received(0), _decided(1), _asked(2))), first=900)
    assert len(waiting(client)) == 1  # its hour is open
    hours_counted()
    assert len(waiting(client)) == 1
    late = _approval(4, answer, status="running").model_copy(update=opened)
    land(client, late, first=910)
    assert waiting(client) == []
    hours_counted()
    assert client.query("SELECT sum(open_approvals) FROM hourly").result_rows == [(0,)]


def test_earlier_answers_for_the_same_action_are_shown_with_how_their_cases_ended(client: Client) -> None:
    def answer(seconds: float, event_id: str, verdict: Literal["approve", "reject"], status: str) -> AuditRecord:
        detail = ApprovalReplyDetail(verdict=verdict, person="ada", counts=True, reason="as agreed")
        return _approval(seconds, detail, event_id, status)

    land(client, _received(0, "evt-1"), _decided(1, "evt-1"), _asked(2, "evt-1"), first=0)
    land(client, _received(0, "evt-2"), _decided(1, "evt-2"), _asked(2, "evt-2"), first=10)
    land(client, answer(3, "evt-2", "approve", "running"), acted(4, "completed", event_id="evt-2"), first=20)
    land(client, _received(0, "evt-3"), _decided(1, "evt-3"), _asked(2, "evt-3"), first=30)
    land(client, answer(5, "evt-3", "reject", "refused"), first=40)
    land(client, _received(0, "evt-4"), _decided(1, "evt-4"), _asked(2, "evt-4"), first=50)
    this = _one_of(client, "evt-1")
    found = similar_approvals(client, this.agent, this.action, this.decision_id, at(60))
    assert found.answers == {"reject": 1, "approve": 1}
    assert [(one.verdict, one.status, one.parameters, one.why) for one in found.newest] == [
        ("reject", "refused", {"amount": 5}, "as agreed"),
        ("approve", "completed", {"amount": 5}, "as agreed"),
    ]
    later = at(40 * 86_400)
    assert similar_approvals(client, this.agent, this.action, this.decision_id, later).answers == {}
    assert similar_approvals(client, this.agent, "respond", this.decision_id, at(60)).answers == {}


def _one_of(client: Client, event_id: str) -> Waiting:
    [found] = waiting(client, ids.decision_id(of_case(event_id)["case_id"], 0))
    return found
