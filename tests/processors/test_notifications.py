"""Who is told of what, and when: classes, routes, quiet hours."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from pydantic import ValidationError

from nightdesk.processors.notifications import CaseClosing, Closing, Notice, RoutePolicy, classify, routes_of
from nightdesk.processors.notifications.messages import one_line
from nightdesk.processors.notifications.routes import check_chain
from nightdesk.schemas import audit_records
from nightdesk.schemas.audit import DecisionDetail
from nightdesk.schemas.outage_detail import OutageDetail
from nightdesk.schemas.persons import SYSTEM
from nightdesk.schemas.records import ApprovalReply, AuditRecord, CaseStatus, ControlCommand, Fallback, StepOutcome
from tests.processors.examples import NOW, case, compiled
from tests.schemas.details import detail_as
from tests.streams.stages.world import decision

MADE = decision(case(compiled()), text="tomorrow")


class Waits(NamedTuple):
    """Why a step waits, as the budget stage says it."""

    gate: str
    reason: str
    since: float
    until: float


def _one(record: AuditRecord) -> object:
    [found] = classify(record)
    return found


def _acted(status: str, ended: CaseStatus = "running") -> object:
    outcome = StepOutcome.model_validate(
        {"step_id": "s", "position": 0, "handler": "send", "status": status, "started_at": NOW}
    )
    return _one(audit_records.acted(MADE, (outcome,), ended, "step 0", None, NOW))


def _ordered(kind: str, by: str) -> object:
    order = ControlCommand.model_validate(
        {"key": "desk", "kind": kind, "agent": "desk", "issued_by": by, "time": NOW, "reason": "r"}
    )
    return _one(audit_records.ordered(order, None))


def test_what_people_are_told_of() -> None:
    assert isinstance(failed := _acted("failed"), Notice)
    assert (failed.event_class, failed.text) == ("failure", "desk respond t-1: step 0")
    assert isinstance(unknown := _acted("unknown"), Notice)
    assert unknown.event_class == "unknown"
    assert _acted("done", "completed") == CaseClosing(MADE.case.case_id)
    assert isinstance(paused := _ordered("pause", "jo"), Notice)
    assert paused.event_class == "stop"
    assert isinstance(found := _ordered("pause", f"{SYSTEM} anomalies"), Notice)
    assert found.event_class == "anomaly"
    assert _ordered("resume", "jo") == Closing(paused.about)
    assert classify(audit_records.received(MADE.case, "t")) == ()


def _deferred(gate: str) -> tuple[object, ...]:
    waits = Waits(gate, "of which people read", NOW.timestamp(), NOW.timestamp() + 60)
    return classify(audit_records.deferred(MADE.case, waits, "t"))


def test_a_spent_budget_is_told_and_a_limit_or_the_end_of_a_wait_is_not() -> None:
    [told] = _deferred("spent")
    assert isinstance(told, Notice)
    assert (told.event_class, told.text) == ("budget", "desk t-1: of which people read")
    assert _one(audit_records.refused(MADE.case, "spent", "none is left", "t", NOW)) == Notice(
        "budget", "desk t-1: none is left"
    )
    assert [_deferred(gate) for gate in ("rate", "held", "unavailable", "paused")] == [()] * 4
    assert classify(audit_records.refused(MADE.case, "unpriced", "no price is known", "t", NOW)) == ()
    goes_on = audit_records.resumed(MADE.case, NOW.timestamp(), "t", NOW.timestamp())
    assert _one(goes_on) == CaseClosing(MADE.case.case_id, ("budget",))


@pytest.mark.parametrize("provider", ["rules", "none", "anthropic"])
def test_a_decision_without_a_model_for_want_of_money_is_told(provider: str) -> None:
    """`when_spent: rules` and `escalate` end the case, but somebody has to know that the money is gone."""
    reason = "$0.178008 is needed and $0.00 of the day's $0.50 is left"
    record = audit_records.decided(MADE, "running", "t")
    detail = detail_as(DecisionDetail, record)
    if provider == "rules":
        skipped = Fallback(provider="anthropic", reason="budget", detail=reason)
        detail = detail.model_copy(update={"cause": "spent", "fallbacks": (skipped,)})
    else:
        detail = detail.model_copy(
            update={"cause": "spent" if provider == "none" else "", "reasoning": reason},
        )
    found = classify(record.model_copy(update={"provider": provider, "detail": detail.model_dump_json()}))
    if provider == "anthropic":
        assert found == (), "a model may write anything"
    else:
        [told] = found
        assert isinstance(told, Notice)
        assert (told.event_class, told.text) == ("budget", f"desk respond t-1: {reason}")


# As programs before and after the change of the sentence write it, and each drops the cause or never knew it.
SPENT_REASONS = (
    "178008 micro-dollars are needed and 0 of the day's 500000 are left",
    "$0.178008 is needed and $0.00 of the day's $0.50 is left for event ticket.created",
)
OTHER_REASONS = (
    f"{SPENT_REASONS[0]}, the rest is reserved for open steps",
    f"{SPENT_REASONS[1]}, the rest is reserved for open steps",
    "the agent's limit of 5 in 60 s is reached",
    "spent $0.05, at worst $0.06 more, of the $0.10 reserved for the case",
    f"waits for a model; before: {SPENT_REASONS[1]}",
    "",
)


def _without_cause(reason: str) -> tuple[AuditRecord, ...]:
    """What a worker of another version writes if it defers, refuses, or gives a case to the rules or to a person."""
    deferred = audit_records.deferred(MADE.case, Waits("", reason, NOW.timestamp(), NOW.timestamp() + 60), "t")
    refused = audit_records.refused(MADE.case, "", reason, "t", NOW)
    decided = audit_records.decided(MADE, "running", "t")
    detail = detail_as(DecisionDetail, decided)
    skipped = Fallback(provider="anthropic", reason="budget", detail=reason)
    by_rules = detail.model_copy(update={"fallbacks": (skipped,), "reasoning": "rule 1"}).model_dump_json()
    by_nobody = detail.model_copy(update={"reasoning": reason}).model_dump_json()
    return (
        deferred,
        refused.model_copy(update={"detail": "null"}),
        decided.model_copy(update={"provider": "rules", "detail": by_rules}),
        decided.model_copy(update={"provider": "none", "detail": by_nobody}),
    )


@pytest.mark.parametrize("reason", SPENT_REASONS)
def test_a_spent_budget_is_told_though_a_worker_of_another_version_names_no_cause(reason: str) -> None:
    for record in _without_cause(reason):
        [told] = classify(record)
        assert isinstance(told, Notice), record.kind
        assert (told.event_class, told.text.endswith(reason)) == ("budget", True)
        assert bool(told.about) == (record.kind != "refused"), "a case that was refused has ended"


@pytest.mark.parametrize("reason", OTHER_REASONS)
def test_what_is_no_spent_budget_is_not_taken_for_one(reason: str) -> None:
    assert [classify(record) for record in _without_cause(reason)] == [()] * 4


@pytest.mark.parametrize("provider", ["rules", "anthropic"])
def test_what_a_model_or_a_rule_says_of_money_is_no_spent_budget(provider: str) -> None:
    *_, by_nobody = _without_cause(SPENT_REASONS[1])
    assert classify(by_nobody.model_copy(update={"provider": provider})) == ()


@pytest.mark.parametrize(
    ("status", "ended", "closes"),
    [
        ("done", "escalated", True),
        ("done", "waiting", True),
        ("skipped", "refused", True),
        ("undo_failed", "failed", False),
        ("done", "running", False),
    ],
)
def test_what_was_told_of_a_case_is_over_when_the_case_has_another_end(
    status: str, ended: CaseStatus, closes: bool
) -> None:
    outcome = StepOutcome.model_validate(
        {"step_id": "s", "position": 0, "handler": "send", "status": status, "started_at": NOW}
    )
    found = classify(audit_records.acted(MADE, (outcome,), ended, "", None, NOW))
    assert found == ((CaseClosing(MADE.case.case_id),) if closes else ())


def test_an_outage_is_told_until_the_system_answers_again() -> None:
    lasts = OutageDetail(stage="decide", system="anthropic", cause="overloaded", since=NOW, is_over=False)
    told = _one(audit_records.outage(lasts, NOW + timedelta(minutes=1)))
    assert isinstance(told, Notice)
    assert (told.event_class, told.text) == (
        "outage",
        "anthropic does not answer decide since 2026-11-20 12:00:00 UTC (overloaded)",
    )
    over = _one(audit_records.outage(lasts.model_copy(update={"is_over": True}), NOW + timedelta(minutes=61)))
    assert over == Closing(told.about, "anthropic answers decide again, after 61 minutes", "outage")


def test_what_goes_on_is_told_of_less_and_less_often() -> None:
    policy = RoutePolicy.model_validate({"batch": 60, "batch_at_most": 900})
    assert [policy.collects_s("failure", run) for run in range(8)] == [60, 60, 120, 240, 480, 900, 900, 900]
    assert {policy.collects_s("stop", run) for run in range(8)} == {60}, "a class that is always sent"
    rare = RoutePolicy.model_validate({"batch": 3600})
    assert {rare.collects_s("failure", run) for run in range(8)} == {3600}


def test_an_approval_that_waits_is_told_and_its_reminder_too_until_it_is_answered() -> None:
    reminded = _one(audit_records.approval_reminded(MADE, 1, NOW + timedelta(hours=72), "t", NOW))
    assert isinstance(reminded, Notice)
    assert (reminded.event_class, reminded.about) == ("approval", MADE.decision_id)
    reply = ApprovalReply(
        decision_id=MADE.decision_id, subject="t-1", verdict="approve", payload_sha256="x", person="jo", time=NOW
    )
    assert _one(audit_records.approval_answered(MADE, reply, "claimed", "", "c", "t", NOW)) == Closing(
        MADE.decision_id, "desk respond t-1: running", "approval"
    )
    assert classify(audit_records.approval_void(reply, "late", "c", "t", NOW)) == ()


def test_a_route_gets_its_classes_of_its_agents_and_what_a_charter_adds() -> None:
    notice = Notice("failure", "text")
    routes = {
        "all": RoutePolicy(),
        "stops": RoutePolicy(tell="stop,fault"),  # type: ignore[arg-type]  # as in the settings
        "other": RoutePolicy(agents="shop"),  # type: ignore[arg-type]
        "added": RoutePolicy(tell="stop"),  # type: ignore[arg-type]
    }
    assert list(routes_of(notice, "desk", routes, {"added": frozenset({"failure"})})) == ["all", "added"]
    assert list(routes_of(notice, "shop", routes, {})) == ["all", "other"]


BERLIN = RoutePolicy(quiet_hours="22:00-07:00", time_zone="Europe/Berlin", batch="1m")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ((11, 20, 20, 58), (11, 20, 20, 59)),  # 21:58 there
        ((11, 20, 20, 59), (11, 21, 6, 0)),  # 22:00 there when the batch would be full
        ((11, 21, 3, 0), (11, 21, 6, 0)),
        ((11, 21, 5, 59), (11, 21, 6, 0)),
        ((10, 25, 0, 30), (10, 25, 6, 0)),  # the night in which 02:30 comes twice
        ((3, 29, 0, 30), (3, 29, 5, 0)),  # the night in which 02:30 does not come
    ],
)
def test_in_quiet_hours_a_message_waits_for_their_end_by_the_clock_on_the_wall(
    now: tuple[int, int, int, int], due: tuple[int, int, int, int]
) -> None:
    begins, expected = datetime(2026, *now, tzinfo=UTC), datetime(2026, *due, tzinfo=UTC)
    assert BERLIN.due_at("failure", begins) == expected
    assert BERLIN.due_at("stop", begins) == begins + timedelta(minutes=1), "this one is always sent"


@pytest.mark.parametrize(
    "wrong", [{"quiet_hours": "22-7"}, {"time_zone": "Mars"}, {"tell": "everything"}, {"batch": "0s"}]
)
def test_what_no_route_can_mean_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        RoutePolicy.model_validate(wrong)


def test_a_chain_of_routes_ends() -> None:
    check_chain({"a": RoutePolicy(otherwise="b"), "b": RoutePolicy()})
    with pytest.raises(ValueError, match="comes back to 'a'"):
        check_chain({"a": RoutePolicy(otherwise="b"), "b": RoutePolicy(otherwise="a")})
    with pytest.raises(ValueError, match="no route 'c'"):
        check_chain({"a": RoutePolicy(otherwise="c")})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\u2028b\u202e\x1b[2J\x85c", "a b [2J c"),
        ("refund\u3164\u3164", "refund\\u3164\\u3164"),
        ("a\u034f\ufe01b\u2800", "a\\u034f\\ufe01b\\u2800"),
        ("Z" + "\u0301" * 9, "Z" + "\u0301" * 6 + "\\u0301" * 3),
        ("e\u0301t\u00e9 \u0645\u0631", "e\u0301t\u00e9 \u0645\u0631"),
    ],
)
def test_a_line_hides_nothing_and_covers_nothing(text: str, line: str) -> None:
    assert one_line(text) == line
