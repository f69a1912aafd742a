"""What a night's audit records add up to."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from nightdesk.processors.endings import AuditLine, EventKey, attention
from nightdesk.processors.night_report import Impact, NightReport, Told, night_report
from nightdesk.schemas.audit import ControlDetail, DecisionDetail, EventDetail, NotificationDetail
from nightdesk.schemas.records import CaseStatus, DeadLetter, DeadLetterEnd

BEGIN = datetime(2026, 11, 24, 18, tzinfo=UTC)
END = BEGIN + timedelta(hours=14)
SHOP = "shop/helpdesk"
NOT_ADMITTED = EventDetail(data="{}", time=BEGIN, partition=0, offset=7).model_dump_json()


def line(kind: str, minutes: float, status: str = "running", **fields: Any) -> AuditLine:
    """A record of case `c-1`, whose event is `e-1` of ticket-1."""
    known = {
        "kind": kind,
        "time": BEGIN + timedelta(minutes=minutes),
        "subject": "ticket-1",
        "event_source": SHOP,
        "event_id": "e-1",
        "case_id": "c-1",
        "agent": "desk",
        "step": 0,
        "status": status,
        "reason": "",
        "cost_microusd": 0,
        "detail": "null",
    }
    return AuditLine(**{**known, **fields})


def no_case(kind: str, minutes: float, **fields: Any) -> AuditLine:
    return line(kind, minutes, case_id=None, agent=None, **fields)


def decided(minutes: float, model_calls: int, cost_microusd: int, **fields: Any) -> AuditLine:
    detail = DecisionDetail(kind="respond", parameters="{}", reasoning="", model_calls=model_calls)
    return line("decided", minutes, cost_microusd=cost_microusd, detail=detail.model_dump_json(), **fields)


def measured(minutes: float, seconds: int = 360, microusd: int = 3_500_000, **fields: Any) -> AuditLine:
    detail = DecisionDetail(
        kind="respond",
        parameters="{}",
        reasoning="",
        unanswered_microusd=200,
        baseline_s=seconds,
        baseline_microusd=microusd,
    )
    return line("decided", minutes, cost_microusd=1_000, detail=detail.model_dump_json(), **fields)


def letter(minutes: float, **fields: Any) -> AuditLine:
    dead = DeadLetter(
        dead_letter_id="d-1",
        stage="ingest",
        topic="ingest",
        partition=0,
        offset=1,
        timestamp_ms=0,
        error="Undecodable",
        message="",
        traceback="",
        program_version="0",
        time=BEGIN,
    )
    return no_case("dead_letter", minutes, detail=dead.model_dump_json(), **fields)


def report(*lines: AuditLine) -> NightReport:
    return night_report(lines, BEGIN, END)


@pytest.mark.parametrize(
    ("lines", "ended"),
    [
        ([line("received", 0)], "running"),
        ([line("received", 0), line("acted", 1, "completed")], "completed"),
        # Of two at one time the later in the life of a step stands, in whatever order they come.
        ([line("acted", 0, "completed"), line("decided", 0)], "completed"),
        ([line("acted", 0, "running"), line("deferred", 1, "deferred", step=1)], "deferred"),
        ([line("received", 0), line("dead_letter", 1, "failed")], "dead_letter"),
        ([line("dead_letter", 0, "failed"), line("replayed", 1), line("acted", 2, "escalated")], "escalated"),
        ([no_case("rejected", 0, status="failed")], "rejected"),
        # Offered again: the agent that rejected it took it then, and another one did not.
        (
            [line("rejected", 0, "failed", case_id=None), line("received", 1), line("acted", 2, "completed")],
            "completed",
        ),
        (
            [
                line("rejected", 0, "failed", case_id=None, agent="other"),
                line("received", 1),
                line("acted", 2, "completed"),
            ],
            "rejected",
        ),
        ([line("refused", 0, "refused", detail=NOT_ADMITTED)], "refused"),
        ([line("refused", 0, "refused", detail=NOT_ADMITTED), line("received", 1)], "running"),
        # Of an agent that refused the event and rejected it the later word counts.
        ([line("refused", 0, "refused", detail=NOT_ADMITTED), line("rejected", 1, "failed", case_id=None)], "rejected"),
        ([line("rejected", 0, "failed", case_id=None), line("refused", 1, "refused", detail=NOT_ADMITTED)], "refused"),
        ([line("received", 0), line("acted", 1, "dry_run")], "dry_run"),
        ([no_case("ignored", 0, status="ignored")], "ignored"),
        ([letter(0)], "dead_letter"),
        ([letter(0), no_case("replayed", 1), line("received", 2), line("acted", 3, "completed")], "completed"),
        # A duplicate says nothing about the event that was handled.
        ([line("acted", 0, "completed"), no_case("ignored", 1)], "completed"),
        # Of two agents' cases the one that needs attention most.
        ([line("acted", 0, "completed"), line("queued", 0, "waiting", case_id="c-2", agent="other")], "waiting"),
    ],
)
def test_how_an_event_ended(lines: list[AuditLine], ended: str) -> None:
    assert report(*lines).ended == {ended: 1}


def test_an_event_that_could_not_be_read_is_one_until_it_is_replayed() -> None:
    unread = letter(0, subject="", event_source="", event_id="")
    end = DeadLetterEnd(dead_letter_id="d-1", verdict="replayed", person="ann", time=BEGIN)
    replayed = no_case("replayed", 5, subject="", event_source="", event_id="", detail=end.model_dump_json())
    assert report(unread).ended == {"dead_letter": 1}
    assert report(unread, replayed).ended == {"running": 1}


def test_the_longest_wait_of_each_kind_is_named() -> None:
    found = report(
        line("deferred", 0, "deferred", reason="no money"),
        line("decided", 90),
        line("queued", 100, "waiting", reason="away"),
        line("deferred", 10, "deferred", reason="no money", case_id="c-2", event_id="e-2"),
    ).longest_waits
    assert {status: wait.length(END) for status, wait in found.items()} == {
        "deferred": timedelta(hours=14) - timedelta(minutes=10),
        "waiting": timedelta(hours=14) - timedelta(minutes=100),
    }
    assert (found["deferred"].event.id, found["deferred"].ended_at, found["deferred"].reason) == (
        "e-2",
        None,
        "no money",
    )


def test_a_wait_that_is_tried_again_is_one_wait() -> None:
    again = [line("queued", minutes, "waiting", reason="away") for minutes in range(0, 60, 10)]
    assert report(*again, line("acted", 60, "completed")).longest_waits["waiting"].length(END) == timedelta(hours=1)


def test_each_end_has_its_reason_and_what_is_well_needs_none() -> None:
    found = report(
        line("acted", 0, reason="step 0 failed: HTTP 400"),
        line("acted", 1, "escalated", step=1, reason="respond failed; step 0 failed: HTTP 400"),
        line("acted", 1, "completed", case_id="c-2", event_id="e-2", reason="nobody asks"),
        line("refused", 1, "refused", case_id="c-3", event_id="e-3", reason="too old"),
        line("acted", 1, "failed", case_id="c-4", event_id="e-4", reason="step 0 failed: HTTP 400"),
        line("dead_letter", 2, "failed", case_id="c-4", event_id="e-4", reason="act: EscalationFailed"),
        no_case("rejected", 0, event_id="e-5", status="failed", reason="desk: amount is no number"),
        no_case("ignored", 0, event_id="e-6", status="ignored", reason="no charter accepts it"),
        line("acted", 1, "escalated", case_id="c-7", event_id="e-7", reason=""),
    )
    assert found.reasons == {
        "escalated": (("respond failed; step 0 failed: HTTP 400", 1),),
        "refused": (("too old", 1),),
        "dead_letter": (("act: EscalationFailed", 1),),
        "ignored": (("no charter accepts it", 1),),
        "rejected": (("desk: amount is no number", 1),),
    }


def test_an_agent_that_decides_to_wait_delays_nothing() -> None:
    assert report(line("acted", 0, "waiting")).longest_waits == {}


def test_a_wait_before_the_decision_ends_with_it() -> None:
    lines = [line("queued", 0, "waiting", reason="no model"), decided(9, 1, 1), line("acted", 10, "waiting")]
    assert report(*lines).longest_waits["waiting"].length(END) == timedelta(minutes=9)


def test_what_a_case_asked_and_cost_before_the_night_is_not_the_nights() -> None:
    found = report(decided(-30, 2, 700), decided(30, 5, 900, step=1))
    assert [tuple(agent) for agent in found.agents] == [("desk", 1, 3, 900)]
    assert (found.model_calls, found.cost_microusd) == (3, 900)


def test_orders_are_shown_and_are_no_events() -> None:
    detail = ControlDetail(order="pause", issued_by="ann").model_dump_json()
    found = report(no_case("control", 5, subject="desk", event_id="", event_source="", detail=detail, reason="wrong"))
    assert [tuple(order)[1:] for order in found.orders] == [("pause", "desk", "ann", "wrong")]
    assert found.events == 0


def test_that_the_topics_belong_to_an_installation_is_no_order() -> None:
    detail = ControlDetail(order="installation", issued_by="ann").model_dump_json()
    assert report(no_case("control", 5, subject="*", detail=detail, reason="the topics belong to it")).orders == ()


def test_what_nothing_is_known_of_is_lost() -> None:
    known, unknown = EventKey("ticket-1", SHOP, "e-1"), EventKey("ticket-9", SHOP, "e-9")
    found = night_report([line("acted", 0, "completed"), no_case("lost", 1)], BEGIN, END, frozenset({known, unknown}))
    assert (found.events, found.lost) == (1, 2)


def test_every_status_has_its_place() -> None:
    statuses: tuple[str, ...] = get_args(CaseStatus)
    assert all(attention(status) for status in statuses)


def test_it_says_who_was_told_of_what_and_what_no_channel_took() -> None:
    def notified(route: str, event_class: str, count: int, *, sent: bool = True) -> AuditLine:
        detail = NotificationDetail(route=route, event_class=event_class, count=count, sent=sent)
        return no_case("notified", 1, detail=detail.model_dump_json())

    found = report(
        notified("oncall", "stopped", 1),
        notified("oncall", "dead_letter", 30),
        notified("oncall", "dead_letter", 2),
        notified("mail", "dead_letter", 4, sent=False),
        no_case("notified", 2, detail="{}"),
    )
    assert found.told == (
        Told("mail", "dead_letter", 0, 0, 1),
        Told("oncall", "dead_letter", 2, 32, 0),
        Told("oncall", "stopped", 1, 1, 0),
    )
    assert found.events == 0, "a message is no event"


@pytest.mark.parametrize(
    ("lines", "impact"),
    [
        ([measured(0), line("acted", 1, "completed")], Impact(1, 360, 3_500_000, 200)),
        ([measured(0), line("acted", 1, "escalated")], Impact(0, 0, 0, 200)),
        ([measured(0), line("acted", 1, "failed")], Impact(0, 0, 0, 200)),
        ([measured(0)], Impact(0, 0, 0, 200)),
        # The last decision says what the case saves.
        (
            [measured(0), measured(1, 60, 500_000, step=1), line("acted", 2, "completed", step=1)],
            Impact(1, 60, 500_000, 400),
        ),
        # A charter without a baseline.
        ([decided(0, 1, 100), line("acted", 1, "completed")], Impact(1, 0, 0, 0)),
        # Completed before the period, by a decision before it; and decided before it, completed in it.
        ([measured(-9), line("acted", -8, "completed")], Impact(0, 0, 0, 0)),
        ([measured(-9), line("acted", 1, "completed")], Impact(1, 360, 3_500_000, 0)),
        # Its dead letter is open.
        (
            [measured(0), line("acted", 1, "completed"), line("dead_letter", 2, "failed")],
            Impact(0, 0, 0, 200),
        ),
    ],
)
def test_completed_cases_save_what_the_charter_said(lines: list[AuditLine], impact: Impact) -> None:
    assert report(*lines).impact == impact
