"""People are told once, in one message for a class and a while; a route that fails or is silent has a next one."""

import contextlib
import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from prometheus_client import REGISTRY

from nightdesk.operations.routes import states_of
from nightdesk.processors.notifications import Message, RoutePolicy, RouteState
from nightdesk.processors.playbook import StepResult
from nightdesk.schemas import audit_records
from nightdesk.schemas.audit import NotificationDetail, WaitDetail
from nightdesk.schemas.outage_detail import OutageDetail
from nightdesk.schemas.records import (
    ApprovalReply,
    AuditRecord,
    CaseStatus,
    ControlCommand,
    Notification,
    StepOutcome,
    Timer,
)
from nightdesk.schemas.topics import AUDIT, NOTIFICATIONS, TIMERS
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.api.tables import encode
from nightdesk.streams.stages.messages import NotificationFailed
from nightdesk.streams.stages.notify import Notify
from tests.processors.examples import NOW, case, compiled, event
from tests.schemas.details import detail_as
from tests.streams.stages.stage_harness import CODEC, Bench, Clock, Crash, Step, audited, in_force, order, said
from tests.streams.stages.world import decision

CHARTER = compiled()
DONE = StepResult("done", answered=True)
AWAY = StepResult("failed", error="no connection", retryable=True)
REFUSED = StepResult("failed", error="HTTP 404: no_service")


@dataclass
class People:
    """Routes, and what their channels answer; `done` after that."""

    routes: dict[str, RoutePolicy]
    answers: list[StepResult] = field(default_factory=list)
    got: list[Message] = field(default_factory=list)
    closes: frozenset[str] = frozenset()

    async def send(self, message: Message) -> StepResult:
        self.got.append(message)
        return self.answers.pop(0) if self.answers else DONE

    async def close(self) -> None:
        """Nothing is held."""


class Night:
    """The notify stage and the timers that it set."""

    def __init__(self, people: People, crash_after: int | None = None) -> None:
        self.people = people
        self.clock = Clock()
        self.control = in_force(CHARTER)
        self.bench = Bench(Notify(self.control, people, self.clock), Step(crash_after))
        self.timers: dict[str, Timer] = {}
        self.audits: list[AuditRecord] = []
        self.offset = 0

    async def read(self, record: AuditRecord) -> list[Notification]:
        self.offset += 1
        return await self.take(await self.bench.take(AUDIT, record, self.offset))

    async def take(self, writes: StagedWrites) -> list[Notification]:
        """Whatever the stage tells itself, at once; timers are kept."""
        self.timers |= {timer.timer_id: timer for timer in said(writes, TIMERS, Timer)}
        self.audits += audited(writes)
        notices = said(writes, NOTIFICATIONS, Notification)
        for notice in notices:
            await self.notify(notice)
        return notices

    async def notify(self, notice: Notification) -> None:
        self.offset += 1
        await self.take(await self.bench.take(NOTIFICATIONS, notice, self.offset))

    async def until(self, seconds: float) -> None:
        """Let the timers fire, in their order."""
        end = self.clock.now + timedelta(seconds=seconds)
        while due := sorted((t for t in self.timers.values() if t.due_at <= end), key=lambda timer: timer.due_at):
            self.clock.now = max(self.clock.now, due[0].due_at)
            del self.timers[due[0].timer_id]
            await self.notify(CODEC.decode(Notification, due[0].value))
        self.clock.now = end


def failed(number: int, status: str = "failed") -> AuditRecord:
    outcome = StepOutcome.model_validate(
        {"step_id": "s", "position": 0, "handler": "send", "status": status, "started_at": NOW}
    )
    of = event().model_copy(update={"id": f"e-{number}", "subject": f"t-{number}"})
    made = decision(case(CHARTER, of), text="tomorrow")
    return audit_records.acted(made, (outcome,), "running", "step 0 (send) failed: 400", None, NOW)


def asked() -> tuple[AuditRecord, AuditRecord]:
    made = decision(case(CHARTER), "refund", amount=50.0)
    reply = ApprovalReply(
        decision_id=made.decision_id, subject="t-1", verdict="approve", payload_sha256="x", person="jo", time=NOW
    )
    answered = audit_records.approval_answered(made, reply, "claimed", "", "c", "t", NOW)
    return audit_records.approval_reminded(made, 1, NOW + timedelta(hours=72), "t", NOW), answered


def one(**policy: object) -> dict[str, RoutePolicy]:
    return {"ops": RoutePolicy.model_validate(policy)}


async def test_a_class_is_told_in_one_message_with_its_count_and_the_first_few() -> None:
    night = Night(People(one()))
    for number in range(25):
        await night.read(failed(number))
    assert night.people.got == [], "they are collected"
    await night.until(60)
    [message] = night.people.got
    assert (message.event_class, message.count, len(message.lines)) == ("failure", 25, 10)
    assert "t-0" in message.lines[0]
    [record] = night.audits
    assert (record.kind, record.status, record.case_id) == ("notified", "ignored", None)
    assert detail_as(NotificationDetail, record).count == 25
    await night.read(failed(99))
    await night.until(60)
    assert [message.count for message in night.people.got] == [25, 1]


async def test_a_night_of_failures_is_a_few_messages_and_the_next_evening_begins_anew() -> None:
    night = Night(People(one()))
    for number in range(8 * 60):
        await night.read(failed(number))
        await night.until(60)
    assert 15 < len(night.people.got) < 25, "and not one a minute"
    assert sum(message.count for message in night.people.got) > 440
    await night.until(4 * 3600)
    told = len(night.people.got)
    assert sum(message.count for message in night.people.got) == 8 * 60
    await night.read(failed(999))
    await night.until(60)
    assert len(night.people.got) == told + 1, "after a while without any, the first is told soon"


async def test_whatever_comes_again_is_told_once() -> None:
    night = Night(People(one()))
    for _ in range(3):
        notices = await night.read(failed(1))
    await night.until(60)
    for notice in notices:
        await night.notify(notice)
    await night.until(3600)
    assert [message.count for message in night.people.got] == [1]


async def test_a_crash_before_the_message_is_recorded_sends_it_again_under_its_key_and_none_is_lost() -> None:
    people = People(one())
    first = Night(people)
    await first.read(failed(1))
    [timer] = first.timers.values()
    due = CODEC.decode(Notification, timer.value)
    dying = Night(people, crash_after=1)
    dying.bench.inherit(first.bench)
    with pytest.raises(Crash):
        await dying.notify(due)
    assert people.got == [], "the batch is closed before it is sent"
    after = Night(people)
    after.bench.inherit(dying.bench)
    await after.notify(due)
    lost = Night(people)
    lost.bench.inherit(dying.bench)
    await lost.notify(due)
    assert len({message.key for message in people.got}) == 1


async def test_what_a_message_says_of_itself_is_told_to_nobody() -> None:
    night = Night(People(one()))
    await night.read(failed(1))
    await night.until(60)
    assert await night.read(night.audits[0]) == []


async def test_a_channel_that_is_away_is_tried_again_and_told_of_once() -> None:
    night = Night(People(one(), answers=[AWAY] * 3))
    await night.read(failed(1))
    await night.until(3600)
    assert len(night.people.got) == 4
    assert len({message.key for message in night.people.got}) == 1
    assert len(night.audits) == 1, "no record for each attempt"


async def test_after_the_last_attempt_the_next_route_gets_the_batch() -> None:
    routes = {"ops": RoutePolicy(otherwise="boss", give_up_after=600), "boss": RoutePolicy(tell=frozenset())}
    for answers in ([REFUSED], [replace(AWAY, retry_after_seconds=1e9)]):
        night = Night(People(routes, answers=list(answers)))
        await night.read(failed(1))
        await night.until(60)
        assert [message.route for message in night.people.got] == ["ops", "boss"]
        assert "ops cannot be told" in night.people.got[1].title
        assert [detail_as(NotificationDetail, record).sent for record in night.audits] == [False, True]


async def test_without_another_route_the_batch_is_a_dead_letter_that_a_replay_sends() -> None:
    night = Night(People(one(), answers=[REFUSED]))
    await night.read(failed(1))
    [timer] = night.timers.values()
    night.clock.forward(60)
    due = CODEC.decode(Notification, timer.value)
    with pytest.raises(NotificationFailed, match="no_service"):
        await night.notify(due)
    await night.read(failed(2))
    await night.notify(due)
    assert [message.count for message in night.people.got] == [1, 1], "what came later is in another message"


def state_of(night: Night, route: str = "ops") -> RouteState:
    """What the table says of a route, as `nightdesk notify list` reads it."""
    batches = night.bench.handlers.tables[0]
    rows = {
        key.encode(): encode(batch) for partition in batches.partitions() for key, batch in batches.items(partition)
    }
    return states_of(rows, night.clock())[route]


def seconds_failing(night: Night, route: str = "ops") -> float | None:
    night.bench.inherit(night.bench)
    night.bench.tick()
    return REGISTRY.get_sample_value("nightdesk_route_failing_seconds", {"route": route})


async def test_a_route_that_fails_says_why_since_when_and_what_waits() -> None:
    night = Night(People(one(), answers=[AWAY] * 4))
    for number in range(3):
        await night.read(failed(number))
    assert str(state_of(night)).startswith("for ops 1 message waits, about 3 events, the oldest of"), "it collects"
    began = night.clock.now
    await night.until(120)
    fails = state_of(night)
    assert (fails.error, fails.failing_since) == ("no connection", began + timedelta(seconds=60))
    assert (fails.failed_at or began) > began + timedelta(seconds=60), "of the last call"
    assert (fails.next_at or began) > night.clock.now
    assert (fails.messages, fails.events, fails.sent_at) == (1, 3, None)
    assert "ops has taken no message since" in str(fails)
    assert seconds_failing(night) == 60
    await night.until(3600)
    taken = state_of(night)
    assert (taken.sent_at is None, taken.failing_since, taken.messages) == (False, None, 0)
    assert re.fullmatch("ops took a message at .*, the last error at .*: no connection", str(taken))
    assert seconds_failing(night) == 0


@pytest.mark.parametrize("otherwise", ["", "boss"])
async def test_a_route_that_was_given_up_fails_until_it_takes_a_message(otherwise: str) -> None:
    routes = {**one(otherwise=otherwise), "boss": RoutePolicy(tell=frozenset())}
    night = Night(People(routes, answers=[REFUSED]))
    await night.read(failed(1))
    with contextlib.suppress(NotificationFailed):
        await night.until(60)
    night.clock.forward(600)
    fails = state_of(night)
    assert (fails.error, fails.messages) == ("HTTP 404: no_service", 0), "a dead letter, or of the other route"
    assert seconds_failing(night) == 600
    if otherwise:
        assert (state_of(night, "boss").error, seconds_failing(night, "boss")) == ("", 0)
    await night.read(failed(2))
    await night.until(60)
    assert (state_of(night).failing_since, seconds_failing(night)) == (None, 0)


async def test_what_nobody_answers_goes_to_the_next_route_and_what_is_answered_does_not() -> None:
    routes = {
        "ops": RoutePolicy(otherwise="boss", unanswered_after=1800),
        "boss": RoutePolicy(tell=frozenset()),
    }
    waits, answered = asked()
    silent = Night(People(routes))
    await silent.read(waits)
    await silent.until(3600)
    assert [message.route for message in silent.people.got] == ["ops", "boss"]
    assert "not answered by ops" in silent.people.got[1].title
    quick = Night(People(routes))
    await quick.read(waits)
    await quick.until(600)
    await quick.read(answered)
    await quick.until(3600)
    assert [message.route for message in quick.people.got] == ["ops"]


def soon_quiet() -> dict[str, object]:
    """Quiet hours that begin ten minutes after the tests' clock."""
    begins = (Clock().now + timedelta(minutes=10)).strftime("%H:%M")
    ends = (Clock().now + timedelta(hours=5)).strftime("%H:%M")
    return {"quiet_hours": f"{begins}-{ends}"}


async def test_what_could_not_be_sent_before_the_quiet_hours_waits_for_their_end() -> None:
    night = Night(People(one(**soon_quiet()), answers=[AWAY] * 6))
    await night.read(failed(1))
    await night.until(4 * 3600)
    assert {message.event_class for message in night.people.got} == {"failure"}
    tried = len(night.people.got)
    assert tried < 7, "nobody is told in the quiet hours"
    await night.until(2 * 3600)
    assert len(night.people.got) > tried
    assert [record.reason for record in night.audits] == ["told"]


async def test_the_next_route_has_quiet_hours_of_its_own() -> None:
    routes = {
        "ops": RoutePolicy(otherwise="boss", unanswered_after=1800),
        "boss": RoutePolicy.model_validate({"tell": "", **soon_quiet()}),
    }
    night = Night(People(routes))
    await night.read(asked()[0])
    await night.until(4 * 3600)
    assert [message.route for message in night.people.got] == ["ops"]
    await night.until(2 * 3600)
    assert [message.route for message in night.people.got] == ["ops", "boss"]


async def test_what_nobody_answered_is_in_the_audit_beside_the_message() -> None:
    routes = {"ops": RoutePolicy(otherwise="boss", unanswered_after=1800), "boss": RoutePolicy(tell=frozenset())}
    night = Night(People(routes))
    await night.read(asked()[0])
    await night.until(3600)
    details = [detail_as(NotificationDetail, record) for record in night.audits]
    assert [(detail.route, detail.cause) for detail in details] == [
        ("ops", "events"),
        ("ops", "silence"),
        ("boss", "events"),
    ]
    assert len({record.record_id for record in night.audits}) == 3


def asked_again() -> AuditRecord:
    made = decision(case(CHARTER), "refund", amount=50.0)
    return audit_records.approval_reminded(made, 2, NOW + timedelta(hours=72), "t", NOW)


@pytest.mark.parametrize("away", [0, 2])
async def test_where_the_channel_can_a_message_is_closed_when_all_that_it_was_about_is_over(away: int) -> None:
    people = People(one(), closes=frozenset({"ops"}))
    night, (waits, answered) = Night(people), asked()
    await night.read(waits)
    await night.until(60)
    await night.read(asked_again())
    await night.until(60)
    assert [message.is_over for message in people.got] == [False, False]
    people.answers = [AWAY] * away
    for _ in range(2):
        await night.read(answered)
    await night.until(3600)
    closed = [message.key for message in people.got[2:] if message.is_over]
    assert {*closed} == {message.key for message in people.got[:2]}, "the reminder's too"
    assert len(closed) == 2 + away, "each once"
    assert [detail_as(NotificationDetail, record).cause for record in night.audits] == [
        "events",
        "events",
        "end",
        "end",
    ]


async def test_what_was_over_before_it_was_told_is_closed_after_it() -> None:
    night, (waits, answered) = Night(People(one(), closes=frozenset({"ops"}))), asked()
    await night.read(waits)
    await night.read(answered)
    await night.until(60)
    assert [message.is_over for message in night.people.got] == [False, True]
    assert night.people.got[0].title == "Nightdesk: decisions wait for an approval: 1 (1 over by now)"


async def test_a_message_about_two_things_is_not_closed_when_one_is_over() -> None:
    night, (waits, answered) = Night(People(one(), closes=frozenset({"ops"}))), asked()
    await night.read(waits)
    other = decision(case(CHARTER, event().model_copy(update={"id": "e-2", "subject": "t-2"})), "refund", amount=5.0)
    await night.read(audit_records.approval_reminded(other, 1, NOW + timedelta(hours=72), "t", NOW))
    await night.until(60)
    await night.read(answered)
    await night.until(60)
    assert [message.is_over for message in night.people.got] == [False]


def of_two_routes() -> People:
    """Both have alerts that can be closed, and want the same."""
    routes = {"ops": RoutePolicy(otherwise="boss", unanswered_after=1800, give_up_after=600), "boss": RoutePolicy()}
    return People(routes, closes=frozenset({"ops", "boss"}))


async def test_what_was_over_when_it_was_passed_on_does_not_begin_again_at_the_next_route() -> None:
    people, (waits, answered) = of_two_routes(), asked()
    night = Night(people)
    other = decision(case(CHARTER, event().model_copy(update={"id": "e-2", "subject": "t-2"})), "refund", amount=5.0)
    await night.read(waits)
    await night.read(audit_records.approval_reminded(other, 1, NOW + timedelta(hours=72), "t", NOW))
    await night.until(60)
    await night.read(answered)
    await night.until(3600)
    passed_on = people.got[-1]
    assert passed_on.title.endswith("2 (1 not answered by ops) (1 over by now)")
    reply = ApprovalReply(
        decision_id=other.decision_id, subject="t-2", verdict="reject", payload_sha256="x", person="jo", time=NOW
    )
    await night.read(audit_records.approval_answered(other, reply, "claimed", "", "c", "t", NOW))
    await night.until(60)
    assert {message.key for message in people.got if not message.is_over} == {
        message.key for message in people.got if message.is_over
    }, "each message is closed when both are over"


@pytest.mark.parametrize("tells_boss", [True, False])
async def test_an_end_that_comes_to_the_next_route_before_the_message_itself_is_not_lost(*, tells_boss: bool) -> None:
    """The end is written to each route's partition, and they are not read at the same pace."""
    people, (waits, answered) = of_two_routes(), asked()
    if not tells_boss:
        people.routes["boss"] = RoutePolicy(tell=frozenset())
    people.answers = [REFUSED]
    night = Night(people)
    await night.read(waits)
    writes = await night.bench.take(AUDIT, answered, 1000)
    ends = {notice.route: notice for notice in said(writes, NOTIFICATIONS, Notification)}
    await night.notify(ends["boss"])
    await night.until(60)
    await night.notify(ends["ops"])
    await night.until(60)
    got = [message for message in people.got if message.route == "boss"]
    assert got
    assert {message.key for message in got if message.is_over} == {message.key for message in got}


async def test_what_ended_before_it_happened_again_is_open_at_the_next_route() -> None:
    people = of_two_routes()
    people.routes["boss"] = RoutePolicy(tell=frozenset())
    night = Night(people)
    await night.read(stopped(NOW))
    await night.read(resumed(NOW + timedelta(seconds=10)))
    await night.until(60)
    await night.read(stopped(NOW + timedelta(seconds=60)))
    await night.until(3600)
    got = [message for message in people.got if message.route == "boss"]
    assert [message.is_over for message in got] == [False]
    await night.read(resumed(NOW + timedelta(seconds=3700)))
    await night.until(60)
    assert [message.is_over for message in people.got if message.route == "boss"] == [False, True]


async def test_a_message_that_is_sent_late_is_closed_though_the_same_happened_again_since() -> None:
    """The first stop's message is tried again until after the second stop."""
    people = of_two_routes()
    people.answers = [StepResult("failed", error="HTTP 503", retryable=True)] * 5
    night = Night(people)
    await night.read(stopped(NOW))
    await night.until(61)
    await night.read(resumed(NOW + timedelta(seconds=61)))
    await night.read(stopped(NOW + timedelta(seconds=62)))
    await night.until(900)
    await night.read(resumed(NOW + timedelta(seconds=900)))
    await night.until(900)
    for route in ("ops", "boss"):
        got = [message for message in people.got if message.route == route]
        assert {message.key for message in got if message.is_over} == {message.key for message in got}


def stopped(at: datetime) -> AuditRecord:
    return audit_records.ordered(order("pause", CHARTER.agent, CHARTER.agent, reason="wrong", time=at), None)


def resumed(at: datetime) -> AuditRecord:
    return audit_records.ordered(order("resume", CHARTER.agent, CHARTER.agent, time=at), None)


async def test_a_channel_without_an_end_is_told_of_none() -> None:
    chat, (waits, answered) = Night(People(one())), asked()
    await chat.read(waits)
    await chat.until(60)
    await chat.read(answered)
    await chat.until(60)
    assert [message.is_over for message in chat.people.got] == [False]


def acted_on(number: int, status: str, ended: CaseStatus) -> AuditRecord:
    """A later step of the case that `failed` is about."""
    return failed(number, status).model_copy(
        update={"record_id": f"later {number}", "step": 1, "status": ended, "reason": ""}
    )


def waits_for_money(number: int) -> tuple[AuditRecord, AuditRecord]:
    of = case(CHARTER, event().model_copy(update={"id": f"e-{number}", "subject": f"t-{number}"}))
    told = audit_records.refused(of, "spent", "", "t", NOW)
    since = NOW.timestamp()
    detail = WaitDetail(until=NOW, cause="spent")
    deferred = told.model_copy(update={"kind": "deferred", "status": "deferred", "detail": detail.model_dump_json()})
    return deferred, audit_records.resumed(of, since, "t", since)


@pytest.mark.parametrize(
    ("told", "end"),
    [
        ((failed(1), failed(2)), (acted_on(1, "done", "escalated"), acted_on(2, "done", "completed"))),
        ((failed(1, "unknown"),), (acted_on(1, "done", "escalated"),)),
        ((waits_for_money(1)[0],), (waits_for_money(1)[1],)),
    ],
    ids=["failure", "unknown", "budget"],
)
async def test_what_was_told_of_cases_is_over_when_each_has_another_end(
    told: tuple[AuditRecord, ...], end: tuple[AuditRecord, ...]
) -> None:
    night = Night(People(one(), closes=frozenset({"ops"})))
    for record in told:
        await night.read(record)
    await night.until(60)
    for number, record in enumerate(end):
        assert [message.is_over for message in night.people.got] == [False], f"{number} of {len(end)} are over"
        for _ in range(2):
            await night.read(record)
        await night.until(60)
    first, over = night.people.got
    assert (first.key, first.is_over, over.is_over) == (over.key, False, True)


async def test_the_end_of_a_case_of_which_nobody_was_told_is_no_record() -> None:
    night = Night(People(one()))
    assert await night.read(acted_on(1, "done", "completed")) == []
    assert await night.read(waits_for_money(1)[1]) == []
    await night.read(failed(1))
    assert await night.read(waits_for_money(1)[1]) == [], "that it goes on does not mend what failed"
    assert [notice.kind for notice in await night.read(acted_on(1, "done", "escalated"))] == ["closed"]


async def test_what_no_person_can_answer_goes_to_no_other_route() -> None:
    routes = {**one(otherwise="boss", unanswered_after=600), "boss": RoutePolicy.model_validate({"tell": "stop"})}
    night = Night(People(routes))
    await night.read(failed(1))
    await night.read(lasting())
    await night.until(86_400)
    assert [(message.route, message.event_class) for message in night.people.got] == [
        ("ops", "failure"),
        ("ops", "outage"),
    ]


def lasting(since: datetime = NOW, *, is_over: bool = False) -> AuditRecord:
    detail = OutageDetail(stage="act", system="desk", cause="", since=since, is_over=is_over)
    return audit_records.outage(detail, NOW + timedelta(minutes=120 if is_over else 1))


async def test_an_outage_is_told_once_though_each_worker_says_so_and_its_end_is_told_or_closes_it() -> None:
    routes = {**one(), "chat": RoutePolicy.model_validate({})}
    night = Night(People(routes, closes=frozenset({"ops"})))
    other = NOW + timedelta(seconds=20)
    for record in (lasting(), lasting(), lasting(other)):
        await night.read(record)
    await night.until(3600)
    assert [(message.route, message.count) for message in night.people.got] == [("ops", 1), ("chat", 1)]
    for record in (lasting(is_over=True), lasting(is_over=True), lasting(other, is_over=True)):
        await night.read(record)
    await night.until(3600)
    over, end = night.people.got[2:]
    assert (over.route, over.is_over, over.key) == ("ops", True, night.people.got[0].key)
    assert (end.route, end.is_over, end.lines) == ("chat", False, ("desk answers act again, after 120 minutes",))
    await night.read(lasting(NOW + timedelta(hours=3)))
    await night.until(3600)
    assert [message.route for message in night.people.got[4:]] == ["ops", "chat"], "another outage"


async def test_the_end_of_an_approval_is_told_where_its_message_has_buttons() -> None:
    routes = {"chat": RoutePolicy(buttons=True), "mail": RoutePolicy()}
    night, (waits, answered) = Night(People(routes)), asked()
    answered = answered.model_copy(update={"reason": "approve by jo (claimed)"})
    await night.read(waits)
    await night.until(60)
    for _ in range(2):
        await night.read(answered)
    await night.until(3600)
    assert [(message.route, message.count) for message in night.people.got] == [("chat", 1), ("mail", 1), ("chat", 1)]
    end = night.people.got[-1]
    assert end.title == "Nightdesk: decisions wait no more: 1"
    assert (end.lines, end.cards) == (("desk refund t-1: approve by jo (claimed)",), ())
    assert len(night.people.got) == 3, "nobody is asked to take care of an end"


async def test_who_was_not_told_of_an_outage_is_not_told_of_its_end() -> None:
    night = Night(People(one(tell="stop")))
    for record in (lasting(), lasting(is_over=True)):
        await night.read(record)
    await night.until(3600)
    assert night.people.got == []


async def test_a_crash_after_a_batch_was_begun_sets_its_timer_again() -> None:
    """The batch is durable, and the timer was perhaps not emitted: without it nobody would be told."""
    night = Night(People(one()))
    [notice] = said(await night.bench.take(AUDIT, failed(1), 1), NOTIFICATIONS, Notification)
    [timer] = said(await night.bench.take(NOTIFICATIONS, notice, 1), TIMERS, Timer)
    successor = Night(night.people)
    successor.bench.inherit(night.bench)
    [again] = said(await successor.bench.take(NOTIFICATIONS, notice, 1), TIMERS, Timer)
    assert again == timer


async def test_a_crash_after_the_end_was_noted_does_not_lose_it() -> None:
    people, (waits, answered) = People(one(), closes=frozenset({"ops"})), asked()
    first = Night(people)
    await first.read(waits)
    await first.until(60)
    [closed] = said(await first.bench.take(AUDIT, answered, 90), NOTIFICATIONS, Notification)
    noted = await first.bench.take(NOTIFICATIONS, closed, 91)
    assert said(noted, NOTIFICATIONS, Notification)
    successor = Night(people)
    successor.bench.inherit(first.bench)
    await successor.notify(closed)
    assert [message.is_over for message in people.got] == [False, True]


async def test_a_pause_is_told_of_and_stops_no_message() -> None:
    night = Night(People(one()))
    pause = order("pause", "desk", "desk", reason="odd")
    night.control.apply(pause)
    night.control.apply(order("stop_all", "*", "*"))
    await night.read(audit_records.ordered(ControlCommand.model_validate(pause.model_dump()), None))
    await night.until(60)
    [message] = night.people.got
    assert (message.event_class, message.severity) == ("stop", "critical")


async def test_a_charter_adds_classes_to_a_route_and_names_no_address() -> None:
    charter = compiled(("mode: live\n", "mode: live\nnotify: {ops: [failure]}\n"))
    night = Night(People(one(tell="stop")))
    assert await night.read(failed(1)) == []
    night.control.apply(order("charter", "desk", "x", charter=charter.charter.to_json(), charter_version="2"))
    night.control.apply(order("promote", "desk", "desk/promoted", charter_version="2"))
    assert len(await night.read(failed(2))) == 1


async def test_a_route_that_the_settings_lost_is_a_dead_letter() -> None:
    night = Night(People(one()))
    [notice] = await night.read(failed(1))
    with pytest.raises(NotificationFailed, match="no route"):
        await night.bench.take(NOTIFICATIONS, notice.model_copy(update={"route": "gone"}))
