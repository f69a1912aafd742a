"""What must hold of every night, seen from outside. Each check gives what is wrong, one line each."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Literal, NamedTuple

import orjson

from nightdesk.processors.endings import CaseEnding, EventKey
from nightdesk.processors.scopes import event_scope
from nightdesk.schemas.money import money
from nightdesk.schemas.records import AuditRecord, BudgetEntry, Case
from tests.nights.play import line_of, report_of
from tests.nights.telling_checks import TELLING_CHECKS
from tests.nights.world import Desk

Check = Callable[[Desk], Iterator[str]]
END_KINDS = frozenset({"acted", "refused", "decided", "approval"})
ENDS = frozenset({"completed", "escalated", "refused", "failed"})
# A case that is not waiting and has not ended is at work; nothing works for longer than this.
AT_WORK_AT_MOST = timedelta(minutes=10)


class Day(NamedTuple):
    """A day of an agent's budget."""

    agent: str
    day: str


def nothing_is_lost(desk: Desk) -> Iterator[str]:
    """Of every event something is known."""
    lost = report_of(desk, desk.clock.now).lost
    if lost:
        yield f"nothing is known of {lost} events"


def every_case_has_one_end_or_waits_with_a_reason(desk: Desk) -> Iterator[str]:
    for case_id, records in by_case(desk).items():
        last, ending = records[-1], ending_of(records)
        ends = ends_of(records)
        if len(ends) > 1:
            yield f"case {case_id} of {last.subject} has {len(ends)} ends"
        if not ends and ending.ended == "running" and last.time < desk.clock.now - AT_WORK_AT_MOST:
            yield f"case {case_id} of {last.subject} ends silently after {last.kind}, {last.status}"
        if any(not wait.reason for wait in ending.waits):
            yield f"case {case_id} of {last.subject} waits and does not say for what"


def ending_of(records: Sequence[AuditRecord]) -> CaseEnding:
    """How a case has ended so far, as `nightdesk night` sees it."""
    first = records[0]
    ending = CaseEnding(EventKey(first.subject, first.event_source, first.event_id))
    for record in records:
        ending.add(line_of(record))
    return ending


def nothing_is_done_twice(desk: Desk) -> Iterator[str]:
    """A step of a case is done once, and a case gives one answer and one escalation at most."""
    for key, count in Counter((effect.handler, effect.key) for effect in desk.systems.effects).items():
        if count > 1:
            yield f"{key} was done {count} times"
    cases = Counter(record.subject for record in desk.audits.values() if record.kind == "received")
    told = Counter(
        (effect.handler, effect.subject)
        for effect in desk.systems.effects
        if effect.handler in ("reply.send", "ticket.escalate", "refund.pay")
    )
    for (handler, subject), count in told.items():
        if count > cases[subject]:
            yield f"{handler} was done {count} times for the {cases[subject]} cases of {subject}"


def no_day_is_overspent(desk: Desk) -> Iterator[str]:
    """At no moment is more spent and held than the budget of the day, by the ledger."""
    limits = {agent: charter.charter.budget.per_day_microusd for agent, charter in desk.charters.items()}
    facts: dict[bytes, tuple[Day, int]] = {}
    totals: Counter[Day] = Counter()
    for put in desk.log.changelogs["budget", "ledger"]:
        day, before = facts.pop(put.key, (Day("", ""), 0))
        totals[day] -= before
        if put.value is None:
            totals[day] += before  # what is forgotten was spent
            continue
        fact = orjson.loads(put.value)
        held = fact["reserved_microusd" if fact["state"] in ("open", "unknown") else "spent_microusd"]
        day = Day(fact["agent"], fact["day"])
        facts[put.key] = (day, held)
        totals[day] += held
        if totals[day] > limits[day.agent]:
            yield f"{totals[day]} of {limits[day.agent]} were spent and held by {day.agent} on {day.day}"
            return


def the_bill_is_in_the_books(desk: Desk) -> Iterator[str]:
    """What the provider bills is at most what the budget stage has settled and holds."""
    facts = {put.key: orjson.loads(put.value) for put in desk.log.changelogs["budget", "ledger"] if put.value}
    charged = sum(
        fact["reserved_microusd" if fact["state"] in ("open", "unknown") else "spent_microusd"]
        for fact in facts.values()
    )
    if desk.provider.billed_microusd > charged:
        yield f"{money(desk.provider.billed_microusd)} was billed, and {money(charged)} is in the books"


def overtakers(desk: Desk) -> list[str]:
    """Cases that left the queue of the budget stage before one that had asked before and needed the same, once each."""
    by_queue: dict[str, list[Movement]] = defaultdict(list)
    for movement in _movements(desk):
        by_queue[movement.queue].append(movement)
    return [case_id for movements in by_queue.values() for case_id in _overtaking(movements)]


def _overtaking(movements: Sequence["Movement"]) -> list[str]:
    asked: list[str] = []
    place: dict[str, int] = {}
    of_subject: dict[str, list[str]] = defaultdict(list)
    left: set[str] = set()
    decided: set[str] = set()
    overtaking, first = [], 0
    for movement in movements:
        case_id = movement.case_id
        if movement.what == "asks":
            place[case_id] = len(asked)
            asked.append(case_id)
            of_subject[movement.subject].append(case_id)
            continue
        if movement.what == "is decided":
            decided.add(case_id)
            continue
        left.add(case_id)
        while first < len(asked) and asked[first] in left:
            first += 1
        before = {one for one in asked[first : place.get(case_id, len(asked))] if one not in left}
        # Who waits behind an earlier case of the same subject is not overtaken by another subject's.
        for cases in of_subject.values() if before else ():
            before -= set(cases[next((n for n, one in enumerate(cases) if one not in decided), 0) + 1 :])
        if before:
            overtaking.append(case_id)
    return overtaking


class Movement(NamedTuple):
    """A case first asks for money, or leaves (it is let through to `decide`, or refused), or its first step is decided.
    `queue` is its agent, and its type of event if that has money of its own: one does not wait for the other's.
    """

    queue: str
    case_id: str
    what: Literal["asks", "leaves", "is decided"]
    subject: str = ""


def _movements(desk: Desk) -> Iterator[Movement]:
    """Each once, but those of urgent cases, which may overtake the others."""
    moved: set[Movement] = set()

    def is_urgent(case: Case) -> bool:
        urgent = desk.charters[case.agent].urgent
        return urgent is not None and urgent.test(event_scope(case.event))

    def queue(agent: str, event_type: str) -> str:
        return f"{agent} {event_type}" if event_type in desk.charters[agent].charter.budget.events else agent

    for entry in desk.log.entries:
        match desk.log.record(entry):
            case BudgetEntry(kind="reserve", step=0, case_id=case_id, case=Case() as case) if not is_urgent(case):
                movement = Movement(queue(case.agent, case.event.type), case_id, "asks", case.subject)
            case BudgetEntry(kind="settle", step=0, case_id=case_id, agent=agent, event_type=event_type):
                movement = Movement(queue(agent, event_type), case_id, "is decided")
            case Case(step=0, case_id=case_id) as case if not is_urgent(case):
                movement = Movement(queue(case.agent, case.event.type), case_id, "leaves")
            case AuditRecord(kind="refused", case_id=str(case_id), agent=str(agent), event_type=event_type):
                movement = Movement(queue(agent, event_type), case_id, "leaves")
            case _:
                continue
        if movement not in moved:
            moved.add(movement)
            yield movement


def first_come_first_served(desk: Desk) -> Iterator[str]:
    """No case is let through before one of the same agent that asked before it."""
    overtaking = overtakers(desk)
    if overtaking:
        yield f"{len(overtaking)} cases overtook others, first {overtaking[0]}"


def by_case(desk: Desk) -> dict[str, list[AuditRecord]]:
    """The audit records of each case, in order of time."""
    found: dict[str, list[AuditRecord]] = defaultdict(list)
    for record in sorted(desk.audits.values(), key=lambda record: record.time):
        if record.case_id is not None:
            found[record.case_id].append(record)
    return found


def ends_of(records: Sequence[AuditRecord]) -> set[str]:
    """The ids of the records that say how a case ended. A dead letter is an end where there is no other: what
    failed has one beside the record of its playbook.
    """
    found = {record.record_id for record in records if record.kind in END_KINDS and record.status in ENDS}
    return found or {record.record_id for record in records if record.kind == "dead_letter"}


def violations(desk: Desk, checks: Sequence[Check] | None = None) -> list[str]:
    """All that is wrong."""
    return [f"{check.__name__}: {problem}" for check in checks or CHECKS for problem in check(desk)]


CHECKS: Sequence[Check] = (
    nothing_is_lost,
    every_case_has_one_end_or_waits_with_a_reason,
    nothing_is_done_twice,
    no_day_is_overspent,
    the_bill_is_in_the_books,
    first_come_first_served,
    *TELLING_CHECKS,
)
