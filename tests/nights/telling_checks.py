"""What must hold of how people are told, seen from what the routes' channels got. Each check gives what is wrong.

What a route wants is read from the audit with the product's own classes; that these are the right ones is in the
expected tables of the nights, which say whom each night tells of what.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from nightdesk.processors.notifications import (
    ANSWERED,
    TOLD_ONCE,
    CaseClosing,
    Closing,
    Notice,
    RoutePolicy,
    about_case,
    classify,
    routes_of,
)
from nightdesk.schemas import ids
from nightdesk.schemas.audit import NotificationDetail
from nightdesk.schemas.audit_kinds import read
from nightdesk.schemas.records import AuditRecord
from tests.nights.telling import CLOSING, Attempt
from tests.nights.world import Desk

# What the stage needs beyond the times of the settings: ticks, latencies and the workers' successors.
SLACK = timedelta(minutes=2)
# A batch begins by the stage's clock and is sent by a timer of the same: they differ by ticks alone.
TICKS = timedelta(seconds=5)
NEVER = datetime.max.replace(tzinfo=UTC)


class Place(NamedTuple):
    """Where notices are collected."""

    route: str
    event_class: str


def each_class_is_told_once(desk: Desk) -> Iterator[str]:
    """What a route wants is in one of its messages when that is due, and in no other."""
    counts = Counter[Place]()
    for first in _own_messages(desk).values():
        counts[_place(first)] += first.message.count
    for place, notices in _wanted(desk).items():
        policy = desk.night.routes[place.route]
        due = sum(_told_by(policy, place.event_class, record.time) < desk.clock.now for record, _ in notices)
        if not due <= counts[place] <= len(notices):
            yield f"{place.route} was told of {counts[place]} of {place.event_class}; {due} of {len(notices)} were due"
    for place in counts.keys() - _wanted(desk).keys():
        yield f"{place.route} was told of {place.event_class}, and nothing was to be told"


def _told_by(policy: RoutePolicy, event_class: str, at: datetime) -> datetime:
    collected_s = policy.batch if event_class in policy.always else max(policy.batch, policy.batch_at_most)
    return policy.not_before(event_class, at + timedelta(seconds=collected_s)) + SLACK


def every_message_arrives(desk: Desk) -> Iterator[str]:
    """What a channel does not take, the next route gets, or it is a dead letter."""
    taken = {attempt.message.key for attempt in desk.told.attempts if attempt.taken}
    letters = sum(entry.tp.topic.endswith("notifications.dlq") for entry in desk.log.entries)
    lost = [first for key, first in _first_attempts(desk).items() if key not in taken and _is_over(desk, first)]
    missing = [first for first in lost if _passed_on_key(desk, first) not in _first_attempts(desk)]
    if len(missing) > letters:
        yield f"{len(missing)} messages reached nobody, and {letters} are dead letters: first {missing[0].message}"


def quiet_hours_are_quiet(desk: Desk) -> Iterator[str]:
    for attempt in desk.told.attempts:
        policy = desk.night.routes[attempt.message.route]
        if attempt.message.event_class not in policy.always and _is_quiet(policy, attempt.at):
            yield f"{attempt.message.route} was told at {attempt.at}: {attempt.message}"


def messages_are_batched(desk: Desk) -> Iterator[str]:
    """Of one class a route gets no two messages within the time for which its notices are collected."""
    by_place: dict[Place, list[datetime]] = defaultdict(list)
    for first in _own_messages(desk).values():
        by_place[_place(first)].append(first.at)
    for place, times in by_place.items():
        apart = timedelta(seconds=desk.night.routes[place.route].batch) - TICKS
        for before, after in pairwise(times):
            if after - before < apart:
                yield f"{place.route} was told of {place.event_class} at {before} and at {after}"


def nobody_gets_a_message_twice(desk: Desk) -> Iterator[str]:
    """Unless its answer was lost, or the worker that sent it has died."""
    times = Counter(attempt.message.key for attempt in desk.told.attempts if attempt.taken)
    again = sum(times.values()) - len(times)
    lost = sum(outage.answers == "lost" and outage.of in desk.night.routes for outage in desk.night.outages)
    if again and not lost and again > desk.lives["notify"] - 1:
        yield f"{again} messages came twice"


def what_nobody_answers_reaches_the_next_route(desk: Desk) -> Iterator[str]:
    closings = Closings.of(desk)
    firsts = _first_attempts(desk)
    following = [(first, firsts.get(_passed_on_key(desk, first))) for first in firsts.values()]
    reached = [(_place(first), passed_on.at) for first, passed_on in following if passed_on is not None]
    away = {outage.of for outage in desk.night.outages}
    for place, notices in _wanted(desk).items():
        policy = desk.night.routes[place.route]
        if place.event_class not in ANSWERED:
            continue
        if policy.unanswered_after is None or not policy.otherwise or {place.route, policy.otherwise} & away:
            continue
        for record, notice in notices:
            told_by = _told_by(policy, place.event_class, record.time)
            asked = told_by + timedelta(seconds=policy.unanswered_after)
            until = _quiet_until(desk.night.routes[policy.otherwise], place.event_class, asked) + SLACK
            if not notice.about or until > desk.clock.now or closings.closed_at(record, notice) < until:
                continue
            if not any(of == place and record.time <= at <= until for of, at in reached):
                yield f"{notice.text} of {record.time} was not answered, and {policy.otherwise} was not told"


def what_is_over_is_closed(desk: Desk) -> Iterator[str]:
    """Where the channel can close a message, also one that another route passed on; and nothing else is closed."""
    told = {attempt.message.key for attempt in desk.told.attempts if attempt.taken}
    closed_at = {attempt.message.key: attempt.at for attempt in desk.told.closings}
    if closed_at.keys() - told:
        yield f"{len(closed_at.keys() - told)} messages were closed that nobody had got"
    closings, away = Closings.of(desk), {outage.of for outage in desk.night.outages}
    origins = _origins(desk)
    before = desk.clock.now - SLACK  # one that was just sent, at the end of quiet hours, is closed next
    for place, notices in _wanted(desk).items():
        over_at = [closings.closed_at(record, notice) for record, notice in notices]
        sent = [first for key, first in _first_attempts(desk).items() if _place(origins[key]) == place and key in told]
        for first in sent:
            message, closed = first.message, closed_at.get(first.message.key, NEVER)
            can_be_closed = message.route in CLOSING and first.at < before and message.route not in away
            if can_be_closed and closed == NEVER and max(over_at) < before:
                yield f"a message to {message.route} of {message.event_class} is over and was not closed: {message}"
            if closed != NEVER and sum(at <= closed for at in over_at) < message.count:
                yield f"a message to {message.route} of {message.event_class} was closed before it was over: {message}"


def the_audit_says_who_was_told(desk: Desk) -> Iterator[str]:
    """Each message that arrived is in the audit, and nothing else is."""
    told = {ids.record_id("notified", key, "True") for key in {first.message.key for first in desk.told.messages()}}
    details = {record.record_id: read(NotificationDetail, record.detail) for record in desk.audits.values()}
    sent = {key for key, detail in details.items() if detail and detail.sent and detail.cause == "events"}
    if sent - told:
        yield f"the audit has {len(sent - told)} messages that nobody got"
    recent = sum(attempt.taken and attempt.at + SLACK > desk.clock.now for attempt in desk.told.attempts)
    lost = any(outage.answers == "lost" and outage.of in desk.night.routes for outage in desk.night.outages)
    if len(told - sent) > recent and not lost:
        yield f"the audit lacks {len(told - sent)} messages"


# -- what is known


def _wanted(desk: Desk) -> Mapping[Place, list[tuple[AuditRecord, Notice]]]:
    """What each route wants to be told of."""
    found: dict[Place, list[tuple[AuditRecord, Notice]]] = defaultdict(list)
    added = {
        agent: {route: frozenset(classes) for route, classes in charter.charter.notify.items()}
        for agent, charter in desk.charters.items()
    }
    still_open: set[tuple[str, str]] = set()
    for record in desk.audits.values():
        for told in classify(record):
            if isinstance(told, Notice):
                for route in routes_of(told, record.agent, desk.night.routes, added.get(record.agent or "", {})):
                    is_known = told.event_class in TOLD_ONCE and (route, told.about) in still_open
                    still_open.add((route, told.about))
                    if not is_known:
                        found[Place(route, told.event_class)].append((record, told))
            elif isinstance(told, Closing):
                for route, policy in desk.night.routes.items():
                    was_told = (route, told.about) in still_open and route not in CLOSING
                    if was_told and told.event_class and policy.tells_end(told.event_class):
                        end = Notice(told.event_class, told.text)
                        found[Place(route, told.event_class)].append((record, end))
                    still_open.discard((route, told.about))
    return found


@dataclass(frozen=True, slots=True)
class Closings:
    """The records by which something was over. What closes a notice comes after it in the audit; their times may be
    the same.
    """

    order: Mapping[str, int]
    found: Mapping[str, list[AuditRecord]]

    @classmethod
    def of(cls, desk: Desk) -> "Closings":
        found: dict[str, list[AuditRecord]] = defaultdict(list)
        for record in desk.audits.values():
            for closing in classify(record):
                if isinstance(closing, Closing):
                    found[closing.about].append(record)
                elif isinstance(closing, CaseClosing):
                    for name in closing.event_classes:
                        found[about_case(name, closing.case_id)].append(record)
        return cls({record_id: place for place, record_id in enumerate(desk.audits)}, found)

    def closed_at(self, record: AuditRecord, notice: Notice) -> datetime:
        """When somebody took care of this; far in the future if nobody has."""
        place = self.order[record.record_id]
        closings = (other for other in self.found.get(notice.about, ()) if self.order[other.record_id] > place)
        return min((closing.time for closing in closings), default=NEVER)


def _first_attempts(desk: Desk) -> dict[str, Attempt]:
    """Of each message, by its key, in order of time."""
    found: dict[str, Attempt] = {}
    for attempt in desk.told.attempts:
        found.setdefault(attempt.message.key, attempt)
    return found


def _own_messages(desk: Desk) -> dict[str, Attempt]:
    """The messages that are no other route's."""
    firsts = _first_attempts(desk)
    passed_on = {_passed_on_key(desk, first) for first in firsts.values()}
    return {key: first for key, first in firsts.items() if key not in passed_on}


def _origins(desk: Desk) -> dict[str, Attempt]:
    """Of each message, by its key, the first attempt at the route whose notices it tells."""
    firsts = _first_attempts(desk)
    before = {_passed_on_key(desk, first): first for first in firsts.values()}

    def origin(first: Attempt) -> Attempt:
        return origin(before[first.message.key]) if first.message.key in before else first

    return {key: origin(first) for key, first in firsts.items()}


def _passed_on_key(desk: Desk, first: Attempt) -> str:
    """The key of the message that the next route gets of this one."""
    following = desk.night.routes[first.message.route].otherwise
    return ids.notification_id("pass_on", following, first.message.key, following) if following else ""


def _place(attempt: Attempt) -> Place:
    return Place(attempt.message.route, attempt.message.event_class)


def _is_over(desk: Desk, first: Attempt) -> bool:
    """Whether nobody tries to send it any more."""
    policy = desk.night.routes[first.message.route]
    gives_up_at = _quiet_until(policy, first.message.event_class, first.at + timedelta(seconds=policy.give_up_after))
    if policy.otherwise:  # the next route has quiet hours of its own
        gives_up_at = _quiet_until(desk.night.routes[policy.otherwise], first.message.event_class, gives_up_at)
    return gives_up_at + SLACK < desk.clock.now


def _is_quiet(policy: RoutePolicy, at: datetime) -> bool:
    begins, _, ends = policy.quiet_hours.partition("-")
    if not ends:
        return False
    clock = at.astimezone(ZoneInfo(policy.time_zone)).time()
    begin, end = time.fromisoformat(begins), time.fromisoformat(ends)
    return begin <= clock < end if begin <= end else clock >= begin or clock < end


def _quiet_until(policy: RoutePolicy, event_class: str, at: datetime) -> datetime:
    while event_class not in policy.always and _is_quiet(policy, at):
        at += timedelta(minutes=1)
    return at


TELLING_CHECKS = (
    each_class_is_told_once,
    every_message_arrives,
    quiet_hours_are_quiet,
    messages_are_batched,
    nobody_gets_a_message_twice,
    what_nobody_answers_reaches_the_next_route,
    what_is_over_is_closed,
    the_audit_says_who_was_told,
)
