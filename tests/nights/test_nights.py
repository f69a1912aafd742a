"""What the owner of an unattended desk expects of each night.

An expectation that the product does not meet is marked `xfail(strict=True)` with the reason, and a landing that
meets it takes the mark away.
"""

from collections import Counter, defaultdict
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest

from nightdesk.schemas.audit import ActionDetail, DecisionDetail
from nightdesk.schemas.records import AuditRecord
from nightdesk.schemas.reoffers import offered_to
from nightdesk.streams.catalog import STAGES
from tests.nights.checks import by_case, ending_of, first_come_first_served, violations
from tests.nights.night import Kill, load, names
from tests.nights.play import Played, go_on, play, unexpected
from tests.nights.world import Desk
from tests.schemas.details import detail_as

WORKERS = tuple(stage.name for stage in STAGES)
KILLS = 15
# What an ordinary night escalates: an eighth of the tickets, by the model's own decision.
ESCALATED_AT_MOST = 0.2


@lru_cache(maxsize=32)
def played(name: str) -> Played:
    """A night is played once, whatever is asked about it."""
    return play(load(name))


NIGHTS = names()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NIGHTS)
def test_no_night_loses_doubles_or_overspends(name: str) -> None:
    assert violations(played(name).desk) == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NIGHTS)
def test_each_night_ends_in_the_table_that_its_file_expects(name: str) -> None:
    assert load(name).expected is not None
    assert unexpected(played(name)) == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NIGHTS)
def test_no_night_does_if_workers_are_killed_in_the_midst_of_it(name: str) -> None:
    night = load(name)
    step = (night.ends - night.begins) / (KILLS + 1)
    kills = tuple(
        Kill(at=night.begins + step * number, stage=WORKERS[number % len(WORKERS)]) for number in range(1, KILLS + 1)
    )
    killed = play(night.model_copy(update={"kills": kills}), seed=2)
    assert sum(killed.desk.lives.values()) == len(killed.desk.lives) + KILLS
    assert violations(killed.desk) == []


@pytest.mark.parametrize("name", ["ordinary", "provider_away", "fall_back"])
def test_a_night_is_the_same_again(name: str) -> None:
    again = play(load(name))
    assert again.report == played(name).report
    assert [record.record_id for record in again.desk.audits.values()] == [*played(name).desk.audits]
    assert play(load(name), seed=2).report != again.report


# -- ordinary


def test_an_ordinary_night_ends_by_itself() -> None:
    report = played("ordinary").report
    assert report.events == 180
    assert {status: report.ended.get(status, 0) for status in ("failed", "dead_letter", "deferred", "refused")} == {
        "failed": 0,
        "dead_letter": 0,
        "deferred": 0,
        "refused": 0,
    }
    assert report.ended["escalated"] < ESCALATED_AT_MOST * report.events
    assert report.model_calls == played("ordinary").desk.provider.answered


# -- models


@pytest.mark.parametrize("name", ["provider_flaps", "provider_flaps_all_night", "provider_away"])
def test_a_provider_that_is_away_makes_no_work_for_people(name: str) -> None:
    assert decided_by_nobody(played(name).desk) == 0


def test_a_provider_that_is_away_is_asked_seldom() -> None:
    desk = played("provider_away").desk
    begin, end = desk.night.at(desk.night.outages[0].since), timedelta(hours=1)
    assert sum(begin <= at < begin + end for at in desk.provider.asked_at) < 300


def test_where_the_charter_names_rules_they_decide_and_nobody_waits() -> None:
    night = played("provider_away_with_rules")
    assert "deferred" not in night.report.longest_waits
    assert "waiting" not in night.report.longest_waits
    assert any(record.provider == "rules" for record in night.desk.audits.values())


def decided_by_nobody(desk: Desk) -> int:
    """Cases that were escalated because no model answered."""
    return sum(
        record.kind == "decided" and "no model answered" in detail_as(DecisionDetail, record).reasoning
        for record in desk.audits.values()
    )


# -- systems


def test_what_the_help_desk_misses_from_one_to_five_is_done_by_eight() -> None:
    night = played("help_desk_away")
    assert night.report.ended.get("failed", 0) == 0
    assert night.report.longest_waits["waiting"].length(night.report.until) < timedelta(hours=4, minutes=30)
    assert all(wait.ended_at for status, wait in night.report.longest_waits.items() if status == "waiting")


def test_who_could_not_be_answered_is_with_a_person() -> None:
    night = played("reply_refused")
    assert night.report.ended.get("failed", 0) == 0
    assert night.report.ended["escalated"] == night.desk.systems.done()["ticket.escalate"]
    unanswered = {record.case_id for record in night.desk.audits.values() if "reply.send" in record.reason}
    escalated = {record.case_id for record in night.desk.audits.values() if record.status == "escalated"}
    assert unanswered
    assert unanswered <= escalated


def test_an_escalation_that_fails_is_a_dead_letter_and_not_only_a_row() -> None:
    night = played("help_desk_refuses")
    assert night.report.ended.get("failed", 0) == 0
    assert night.report.ended["dead_letter"] > 0
    letters = [entry for entry in night.desk.log.entries if entry.tp.topic.endswith(".dlq")]
    assert len(letters) == night.report.ended["dead_letter"]


# -- money


def test_over_the_budget_the_night_costs_no_more() -> None:
    report = played("budget_gone").report
    assert report.ended["deferred"] > 100
    assert report.cost_microusd <= 600_000


@pytest.mark.parametrize("name", ["budget_gone", "provider_flaps"])
def test_who_came_first_is_served_first(name: str) -> None:
    assert violations(played(name).desk, [first_come_first_served]) == []


@pytest.mark.parametrize("name", ["backlog_of_days", "month_end", "spring_forward", "fall_back"])
def test_who_was_deferred_is_served_first_when_there_is_money(name: str) -> None:
    assert violations(played(name).desk, [first_come_first_served]) == []


@pytest.mark.parametrize(("name", "hours"), [("short_day", 23), ("long_day", 25)])
def test_a_day_of_the_budget_is_a_day_on_the_wall(name: str, hours: int) -> None:
    """Who came in the first half hour of the day and found no money waits for its end, and no longer."""
    desk = played(name).desk
    midnight = desk.night.at(datetime.combine(desk.night.begins.date() + timedelta(days=1), time())).astimezone(UTC)
    ends = midnight + timedelta(hours=hours)
    asked = sorted(at for at in desk.provider.asked_at if at > midnight + timedelta(hours=1))
    assert asked
    assert ends <= asked[0] < ends + timedelta(minutes=1)


def test_an_urgent_ticket_uses_the_reserve_when_the_others_wait() -> None:
    desk = played("urgent_reserve").desk
    waiting = {record.subject for record in desk.audits.values() if record.kind == "deferred"}
    assert any(subject.startswith("ticket-0-") for subject in waiting)
    assert not any(subject.startswith("ticket-1-") for subject in waiting)


def test_what_waits_for_a_model_for_as_long_as_it_may_reaches_a_person_in_time() -> None:
    desk = played("waits_at_most").desk
    waits = [wait for records in by_case(desk).values() for wait in ending_of(records).waits]
    longest = max(wait.length(desk.night.until) for wait in waits if "waits for a model" in wait.reason)
    assert longest < timedelta(hours=2, minutes=2)
    decided = [detail_as(DecisionDetail, record) for record in desk.audits.values() if record.kind == "decided"]
    assert sum(detail.cause == "waited" for detail in decided) > 20


def test_what_one_customer_waits_for_goes_on_in_order_and_not_at_once() -> None:
    desk = played("one_customer_waits").desk
    decided = [record.event_id for record in desk.audits.values() if record.kind == "decided" and record.step == 0]
    assert decided == [event.id for event in desk.events]
    back = next(at for at in desk.provider.asked_at if at >= desk.night.at(time(0)))
    assert sum(at < back + timedelta(seconds=20) for at in desk.provider.asked_at if at >= back) < 20


def test_a_decision_that_its_customer_takes_back_is_made_again_and_nobody_is_paid() -> None:
    desk = played("customer_takes_it_back").desk
    back = [record for record in desk.audits.values() if "came before anybody approved refund" in record.reason]
    assert len(back) > 2
    assert desk.systems.done()["refund.pay"] == 0
    following = {record.case_id for record in desk.audits.values() if record.kind == "decided" and record.step == 1}
    assert {record.case_id for record in back} <= following


def test_a_follow_up_is_cancelled_when_the_customer_writes_again() -> None:
    desk = played("customer_takes_it_back").desk
    assert any(record.kind == "cancelled" for record in desk.audits.values())


def test_a_hand_over_whose_second_way_is_away_waits_for_it_or_is_a_dead_letter() -> None:
    night = played("second_way_away")
    letters = [entry for entry in night.desk.log.entries if entry.tp.topic.endswith(".dlq")]
    assert len(letters) == night.report.ended["dead_letter"] > 0
    paged_again = night.desk.night.at(time(6))
    assert any(effect.handler == "pager.page" and effect.at > paged_again for effect in night.desk.systems.effects)


def test_the_months_first_day_begins_where_its_budget_is() -> None:
    desk = played("month_end_elsewhere").desk
    midnight = datetime(2026, 12, 1, tzinfo=ZoneInfo("Asia/Kolkata"))
    asked = [at for at in desk.provider.asked_at if at >= midnight]
    assert midnight <= asked[0] < midnight + timedelta(minutes=1)
    assert not [at for at in desk.provider.asked_at if midnight - timedelta(hours=2) < at < midnight]


def test_what_lay_unread_for_too_long_reaches_a_person_and_no_model() -> None:
    desk = played("ingest_away").desk
    stale = {record.subject for record in desk.audits.values() if "queue.stale_after" in record.detail}
    assert stale == {event.subject for event in desk.events if event.subject.startswith("ticket-0-")}
    assert not [record for record in desk.audits.values() if record.kind == "asked" and record.subject in stale]


def test_of_two_exclusive_agents_the_first_takes_each_ticket() -> None:
    desk = played("exclusive").desk
    assert {record.agent for record in desk.audits.values() if record.kind == "decided"} == {"night-shift"}


def test_what_the_help_desk_refuses_takes_the_second_way_and_is_no_dead_letter() -> None:
    night = played("second_way")
    assert night.desk.systems.done()["pager.page"] == night.report.ended["escalated"]
    assert not [entry for entry in night.desk.log.entries if entry.tp.topic.endswith(".dlq")]


def test_money_that_others_hold_makes_nobody_wait_for_tomorrow() -> None:
    """At their worst prices the day's money pays for a few of them at once."""
    desk = played("holds_of_others").desk
    waits = [wait for records in by_case(desk).values() for wait in ending_of(records).waits]
    held = [wait for wait in waits if "the rest is reserved for open steps" in wait.reason]
    assert len(held) > 30
    assert all(wait.ended_at and wait.length(desk.night.until) < timedelta(minutes=5) for wait in held)


def test_a_charter_that_is_tried_reads_researches_and_changes_nothing() -> None:
    desk = played("dry_run").desk
    assert not desk.systems.effects
    assert desk.systems.called_at, "research reads"
    assert any(record.kind == "decided" and record.step == 1 for record in desk.audits.values())
    outcomes = [
        outcome.status
        for record in desk.audits.values()
        if record.kind == "acted"
        for outcome in detail_as(ActionDetail, record).outcomes
    ]
    assert set(outcomes) == {"would_have", "done"}
    assert outcomes.count("would_have") > len(desk.events)


def test_an_emergency_charter_keeps_what_waits_from_acting_though_it_is_approved() -> None:
    desk = played("emergency_charter").desk
    promoted = desk.night.at(desk.night.orders[0].at)
    approved = {r.case_id for r in desk.audits.values() if r.kind == "approval" and r.reason.startswith("approve by")}
    rehearsed = {r.case_id for r in desk.audits.values() if r.kind == "acted" and r.status == "dry_run"}
    assert approved
    assert approved <= rehearsed
    assert not [effect for effect in desk.systems.effects if effect.at > promoted + timedelta(minutes=1)]


def test_only_work_counts_toward_a_bound_of_seconds() -> None:
    night = played("only_work_counts")
    assert night.desk.charter.charter.bounds.seconds == 60
    assert {reason for reason, _ in night.report.reasons["escalated"]} == {"decided by anthropic"}


# -- events


def test_a_storm_of_one_customer_is_refused_nothing() -> None:
    assert played("storm").report.ended.get("refused", 0) == 0


def test_a_storm_of_one_customer_delays_nobody_else() -> None:
    desk = played("storm").desk
    others = {event.id for event in desk.events if event.subject.startswith("ticket-1")}
    answered = {record.event_id for record in desk.audits.values() if record.kind == "acted"}
    assert len(others) == 90
    assert others <= answered


def test_what_was_rejected_is_offered_again_after_the_repair_and_taken_once() -> None:
    desk = played("reoffer_after_repair").desk
    counts = Counter((record.kind, record.event_id) for record in desk.audits.values())
    wrong = {event_id for kind, event_id in counts if kind == "rejected"}
    assert len(wrong) > 20
    assert {event_id for kind, event_id in counts if kind == "reoffered"} == wrong
    offered = sum(bool(offered_to(entry.headers)) for entry in desk.log.entries)
    assert offered == 2 * len(wrong), "the second time by mistake"
    assert all(counts["received", event.id] == 1 for event in desk.events)


# -- orders


def test_a_paused_agent_asks_no_model() -> None:
    desk = played("pause_of_eight_hours").desk
    begin, end = (desk.night.at(order.at) for order in desk.night.orders[:2])
    moment = timedelta(minutes=1)
    assert not [at for at in desk.provider.asked_at if begin + moment < at < end]


@pytest.mark.parametrize("name", ["pause_of_eight_hours", "weekend_paused", "stop_all"])
def test_who_is_stopped_calls_nobody_and_all_is_done_after_the_resume(name: str) -> None:
    night = played(name)
    begin, end = (night.desk.night.at(order.at) for order in night.desk.night.orders)
    moment = timedelta(minutes=1)
    assert not [at for at in night.desk.systems.called_at if begin + moment < at < end]
    assert all(wait.ended_at for status, wait in night.report.longest_waits.items() if status == "waiting")


@pytest.mark.parametrize("name", ["pause_of_eight_hours", "weekend_paused", "stop_all"])
def test_what_waits_for_an_order_is_quiet(name: str) -> None:
    desk = played(name).desk
    rows = sum(record.status == "waiting" for record in desk.audits.values())
    assert rows <= 2 * len(desk.events)


def test_what_an_anomaly_stops_waits_for_a_person_who_is_told_of_it() -> None:
    desk = played("anomaly").desk
    [paused] = [r for r in desk.audits.values() if r.kind == "control" and "cases had a failed step" in r.reason]
    resumed, moment = desk.night.at(desk.night.orders[0].at), timedelta(seconds=30)
    assert not [at for at in desk.provider.asked_at if paused.time + moment < at < resumed]
    assert {effect.handler for effect in desk.systems.effects if paused.time + moment < effect.at < resumed} <= {
        "ticket.escalate"
    }
    [told] = [first for first in desk.told.messages() if first.message.event_class == "anomaly"]
    assert told.at < paused.time + timedelta(minutes=2)
    failed = [r for r in desk.audits.values() if r.kind == "acted" and "HTTP 400" in r.reason and r.step == 0]
    assert len(failed) < 10, "the others waited until the help desk took replies again"


def test_what_a_person_should_get_passes_a_pause_and_nothing_else_does() -> None:
    desk = played("pause_passes_hand_overs").desk
    paused, resumed = (desk.night.at(order.at) for order in desk.night.orders)
    back = desk.night.at(time(21))
    decided = [r for r in desk.audits.values() if r.kind == "decided" and r.action == "escalate"]
    before = {r.subject for r in decided if r.time < paused}
    meanwhile = [effect for effect in desk.systems.effects if paused + timedelta(minutes=1) < effect.at < resumed]
    assert {effect.handler for effect in meanwhile} == {"ticket.escalate"}
    assert len(meanwhile) > 3
    reached = {effect.subject for effect in desk.systems.effects if effect.at < resumed}
    assert before <= reached
    assert min(effect.at for effect in meanwhile) >= back


# -- people


def test_an_approval_that_nobody_answers_goes_to_a_person() -> None:
    night = played("nobody_approves")
    asked = {record.case_id for record in night.desk.audits.values() if record.kind == "approval"}
    escalated = {record.case_id for record in night.desk.audits.values() if record.status == "escalated"}
    assert asked
    assert asked <= escalated
    assert night.report.ended.get("needs_approval", 0) == 0


def test_whoever_approves_a_second_refund_has_seen_the_first() -> None:
    """What was asked before the first was approved is asked again; an answer to the older card counts for nothing."""
    desk = played("one_open_per_subject").desk
    again = 0
    by_subject: dict[str, list[AuditRecord]] = defaultdict(list)
    for record in desk.audits.values():
        if record.kind == "approval" and record.decision_id is not None:
            by_subject[record.subject].append(record)
    for records in by_subject.values():
        asked_at: dict[str, datetime] = {}
        approved_at = datetime.min.replace(tzinfo=UTC)
        for record in records:
            key = str(record.decision_id)
            if record.status == "needs_approval":
                again += key in asked_at
                asked_at[key] = record.time
            elif record.reason.startswith("approve by"):
                assert asked_at[key] >= approved_at
                approved_at = record.time
    assert again > 3
    assert desk.systems.done()["refund.pay"] > len(by_subject)


def test_an_answered_ticket_is_not_escalated_after_two_days() -> None:
    desk = Desk(load("ordinary"))
    go_on(desk, desk.night.until + timedelta(days=3))
    later = [record for record in desk.audits.values() if record.time > desk.night.until]
    followed_up = [record for record in later if record.event_type == "ticket.followup"]
    assert len(followed_up) > 100
    assert not [record for record in followed_up if record.status == "escalated"]
