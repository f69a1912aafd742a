"""What must hold when a world is idle, seen from outside.

Each check returns its violations, one line each; nothing if all is well.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, pairwise

import orjson

from nightdesk.effects.handlers.answers import Meaning
from nightdesk.schemas.approval_details import ApprovalRequestDetail
from nightdesk.schemas.audit import DecisionDetail, WaitDetail
from nightdesk.schemas.audit_kinds import read
from nightdesk.schemas.records import ApprovalReply, Decision, Event, Record, Timer
from nightdesk.streams.runtime.handling.delivery import RawEvent
from tests.schemas.details import detail_as
from tests.simulator import charters
from tests.simulator.actions import Sent
from tests.simulator.evidence import Evidence, is_of_a_decision
from tests.simulator.scenario import JUNK
from tests.simulator.world import World

# What the audit may say of a deed that was done, and of one that was not.
DONE = frozenset({"done", "unknown", "undone", "undo_failed"})
NOT_DONE = frozenset({"failed", "skipped", "unknown", "undo_failed"})
Check = Callable[[Evidence], Iterator[str]]


def violations(world: World) -> list[str]:
    """All violations."""
    if not world.at_rest:
        return ["it never comes to rest"]
    evidence = Evidence(world)
    return [f"{check.__name__}: {problem}" for check in CHECKS for problem in check(evidence)]


def every_event_has_one_end(evidence: Evidence) -> Iterator[str]:
    for case_id, event in evidence.wanted.items():
        ends = evidence.ends(case_id)
        if len(ends) != 1:
            yield f"{event.id} has {len(ends)} ends: {sorted(status for _, status in ends)}"
    heard_of = {record.event_id for record in evidence.audits}
    for event in evidence.events:
        if event.id not in heard_of:
            yield f"nothing is said of {event.id}"


def a_case_has_one_time(evidence: Evidence) -> Iterator[str]:
    """The store sorts by it. Only of what failed or was parked a stage may not know it: the sink looks it up."""
    for case_id, records in evidence.of_case.items():
        times = {record.case_at for record in records if record.case_at is not None}
        lacking = {record.kind for record in records if record.case_at is None}
        if len(times) != 1 or lacking - {"dead_letter", "replayed", "discarded", "parked"}:
            yield f"{case_id} has the times {sorted(times)}, and its records {sorted(lacking)} have none"


def what_cannot_be_done_is_a_dead_letter(evidence: Evidence) -> Iterator[str]:
    """The dead letters are what nobody can read, what failed and nobody got, and what could not be undone."""
    entries = evidence.world.log.entries
    dead_lettered = {record.record_id: record for record in evidence.audits if record.kind == "dead_letter"}.values()
    decided = {record.decision_id for record in dead_lettered if is_of_a_decision(record)}
    unread = [record for record in dead_lettered if "Undecodable" in record.reason]
    junk = sum(entry.value == JUNK and entry.tp.topic == "t.ingest" for entry in entries)
    letters = sum(entry.value == JUNK and entry.tp.topic.endswith(".dlq") for entry in entries)
    expected_letters = evidence.not_taken_back | evidence.failed
    if decided != expected_letters:
        yield f"{len(expected_letters)} decisions failed or were not taken back, and {len(decided)} are dead letters"
    if len(unread) != junk or letters < junk:
        yield f"{junk} records were junk, {len(unread)} have become {letters} letters"
    if len(unread) + len(decided) != len(dead_lettered):
        yield f"dead letters: {[record.reason for record in dead_lettered]}"


def every_step_has_one_decision(evidence: Evidence) -> Iterator[str]:
    found: dict[tuple[str | None, int], set[tuple[object, ...]]] = defaultdict(set)
    for record in evidence.audits:
        if record.kind == "decided":
            parameters = detail_as(DecisionDetail, record).parameters
            answer = (record.record_id, record.action, parameters, record.disposition)
            found[record.case_id, record.step].add((*answer, record.confidence, record.cost_microusd))
    for (_, step), answers in found.items():
        if len(answers) > 1:
            yield f"step {step} was decided as {sorted(map(str, answers))}"


def nothing_is_done_twice(evidence: Evidence) -> Iterator[str]:
    for deed, count in evidence.world.servers.done.items():
        if count > 1:
            yield f"{deed} was done {count} times"
    for key, calls in _by_key(evidence).items():
        if any(call.request != calls[0].request for call in calls):
            yield f"the key {key} was sent with different requests: {[call.request for call in calls]}"


def without_a_key_nothing_is_sent_again(evidence: Evidence) -> Iterator[str]:
    handlers = charters.compiled(evidence.world.scenario.variant).charter.handlers
    for calls in _by_key(evidence).values():
        if getattr(handlers[calls[0].deed.handler], "idempotent", "") == "none":
            for earlier in calls[:-1]:
                if not earlier.heard or earlier.meaning is not Meaning.NOT_NOW:
                    yield f"{earlier.deed} was sent again, and nobody knew what had become of it"


def _by_key(evidence: Evidence) -> dict[str, list[Sent]]:
    calls: dict[str, list[Sent]] = defaultdict(list)
    for sent in evidence.world.servers.sent:
        calls[sent.key].append(sent)
    return calls


def the_audit_tells_the_truth(evidence: Evidence) -> Iterator[str]:
    done = evidence.world.servers.done
    for deed in {sent.deed for sent in evidence.world.servers.sent} | evidence.outcomes.keys():
        if deed.handler in ("remind", "history"):
            continue  # they change nothing
        said = evidence.outcomes.get(deed, set())
        if len(said) != 1 or not said <= (DONE if done[deed] else NOT_DONE):
            yield f"{deed} was done {done[deed]} times, and the audit says {sorted(said)}"


def nothing_acts_against_an_order(evidence: Evidence) -> Iterator[str]:
    for sent in evidence.world.servers.sent:
        if sent.halted:
            yield f"{sent.deed} was sent after the process had heard the order to stop"


def who_needs_approval_has_it(evidence: Evidence) -> Iterator[str]:
    """The first answer with the right hash decides; what is executed is what was shown, or what that answer changed it
    to.
    """
    shown = _shown(evidence)
    decided = _decided(evidence)
    needing = {decision.decision_id for decision in decided.values() if decision.disposition == "needs_approval"}
    subjects = {decision.decision_id: decision.subject for decision in decided.values()}
    for decision_id in shown.keys() - needing:
        if not any(subjects[decision_id] == subjects[other] for other in shown.keys() & needing):
            yield f"a person was asked about {decision_id}, which needs no approval, as no other of its subject does"
    for sent in evidence.world.servers.sent:
        decision = decided[sent.deed.event, sent.deed.step]
        if decision.disposition != "needs_approval":
            continue
        cards = shown.get(decision.decision_id, {})
        answers = [answer for card in cards if (answer := _first_answer(evidence, decision, card)) is not None]
        if all(answer.verdict == "reject" for answer in answers):
            yield f"{sent.deed} was sent, and nobody had approved it"
        elif sent.deed.handler == "pay" and sent.request["amount"] not in _approved(decision, answers):
            yield f"{sent.request} was sent, and {_approved(decision, answers)} was approved"


def _decided(evidence: Evidence) -> dict[tuple[str, int], Decision]:
    decided: dict[tuple[str, int], Decision] = {}
    for _, decision in evidence.decisions:
        decided.setdefault((decision.case.event.id, decision.case.step), decision)
    return decided


def _shown(evidence: Evidence) -> dict[str, dict[str, ApprovalRequestDetail]]:
    """What persons were shown of each decision, by its hash."""
    shown: dict[str, dict[str, ApprovalRequestDetail]] = defaultdict(dict)
    for record in evidence.audits:
        card = read(ApprovalRequestDetail, record.detail) if record.kind == "approval" else None
        if card is not None:
            shown[str(record.decision_id)][card.payload_sha256] = card
    return shown


def _approved(decision: Decision, answers: list[ApprovalReply]) -> list[float]:
    given = [(answer.parameters if answer.verdict == "edit" else None) or decision.parameters for answer in answers]
    return [orjson.loads(parameters)["amount"] for parameters in given]


def nobody_pays_a_second_time_unseen(evidence: Evidence) -> Iterator[str]:
    """Of two decisions to pay for one subject that persons approved, one was approved by who saw the other approved."""
    shown, decided = _shown(evidence), _decided(evidence)
    paid: dict[str, dict[str, list[ApprovalRequestDetail]]] = defaultdict(dict)
    for sent in evidence.world.servers.sent:
        decision = decided[sent.deed.event, sent.deed.step]
        if sent.deed.handler == "pay" and decision.decision_id in shown:
            cards = shown[decision.decision_id]
            answered = [card for given, card in cards.items() if _first_answer(evidence, decision, given) is not None]
            paid[decision.subject][decision.decision_id] = answered
    for subject, by_decision in paid.items():
        for one, other in combinations(by_decision, 2):
            seen = [other in _seen_approved(by_decision[one]), one in _seen_approved(by_decision[other])]
            if not any(seen):
                yield f"{one} and {other} were paid for {subject}, and nobody who approved had seen the other"


def _seen_approved(cards: list[ApprovalRequestDetail]) -> set[str]:
    return {other.decision_id for card in cards for other in card.others if other.approved_at is not None}


def _first_answer(evidence: Evidence, decision: Decision, shown: str | None) -> ApprovalReply | None:
    return next(
        (
            reply
            for _, reply in evidence.replies
            if reply.decision_id == decision.decision_id and reply.payload_sha256 == shown
        ),
        None,
    )


def timers_fire_once_and_not_early(evidence: Evidence) -> Iterator[str]:
    log, may_repeat = evidence.world.log, evidence.world.lives["timers"] - 1
    first: dict[str, tuple[RawEvent, Timer]] = {}
    for entry, reminder in evidence.reminders:
        first.setdefault(reminder.timer_id, (entry, reminder))
    for entry, reminder in first.values():
        fired = [other for other in log.entries if other.value == reminder.value]
        said_again = evidence.world.doubled.count(reminder.value)
        if not 1 <= len(fired) <= 1 + may_repeat + said_again:
            yield f"{reminder.reason} ({reminder.timer_id}, set at {entry.offset}) was said {len(fired)} times"
        if any(other.timestamp < reminder.due_at.timestamp() for other in fired):
            yield f"{reminder.reason} came before {reminder.due_at}"


def the_budget_adds_up(evidence: Evidence) -> Iterator[str]:
    limit = charters.compiled(evidence.world.scenario.variant).charter.budget.per_day_microusd
    latest: dict[bytes, dict[str, object]] = {}
    for key, fact in evidence.facts:
        latest[key] = fact
        for day, total in _by_day(latest).items():
            if total > limit:
                yield f"{total} of {limit} were reserved or spent on {day}"
    for fact in latest.values():
        if fact["state"] == "open":
            yield f"the reservation of {fact['case_id']} is open at the end"
    yield from _drift(evidence, latest)


def _by_day(facts: dict[bytes, dict[str, object]]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for fact in facts.values():
        held = fact["reserved_microusd" if fact["state"] in ("open", "unknown") else "spent_microusd"]
        totals[str(fact["day"])] += int(str(held))
    return totals


def _drift(evidence: Evidence, facts: dict[bytes, dict[str, object]]) -> Iterator[str]:
    """The spent money of the ledger equals the first settlement of each reservation and covers the provider's bill. A
    step that was given back and never asked again, because a person got it, is settled by its return.
    """
    settled: dict[tuple[str, int], int] = {}
    returned: dict[tuple[str, int], int] = {}
    for entry in evidence.entries:
        if entry.kind == "settle":
            settled.setdefault((entry.case_id, entry.step), entry.amount_microusd)
        elif entry.kind == "returned":
            returned[entry.case_id, entry.step] = entry.amount_microusd
    settled = {**returned, **settled}
    spent = sum(int(str(fact["spent_microusd"])) for fact in facts.values())
    if spent != sum(settled.values()):
        yield f"the ledger says that {spent} were spent, the log {sum(settled.values())}"
    ledger: Counter[str] = Counter()
    for fact in facts.values():
        ledger[str(fact["case_id"])] += int(str(fact["spent_microusd"]))
    for case_id, event in evidence.wanted.items():
        billed = evidence.world.provider.billed_microusd[event.id]
        if billed > ledger[case_id]:
            yield f"{event.id} was billed {billed} and charged {ledger[case_id]}"


def nobody_waits_for_money_at_the_end(evidence: Evidence) -> Iterator[str]:
    """Every step that began to wait went on. One that asked for all while no model answered has no record of it but
    its decision.
    """
    began, went_on = set(), set()
    for record in evidence.audits:
        step = (record.case_id, record.step)
        if record.status == "deferred" and detail_as(WaitDetail, record).cause:
            began.add(step)
        elif record.kind in ("refused", "decided") or (record.kind == "deferred" and record.status == "running"):
            went_on.add(step)
    for waiting in began - went_on:
        yield f"{waiting} began to wait and never went on"
    for partition, rows in evidence.waiting.items():
        yield from (f"{key!r} waits in partition {partition} at the end" for key in rows)


def subjects_keep_their_order(evidence: Evidence) -> Iterator[str]:
    """If nothing was deferred, the events of a subject are asked about, decided and executed in the order of their
    arrival.
    """
    by_case = evidence.wanted
    # A producer that puts the events of a subject into several partitions gives them no order.
    spread = evidence.world.scenario.spread == "any"
    read = [] if spread else [_case_of(evidence, event.id) for event in evidence.events]
    asked = [entry.case_id for entry in evidence.entries if entry.kind == "reserve"]
    cases = [case.case_id for case in evidence.cases if case.step == 0]
    decided = [str(record.case_id) for record in evidence.audits if record.kind == "decided" and record.step == 0]
    acting = [decision.case.case_id for _, decision in evidence.decisions if decision.case.step == 0]
    begun = [_case_of(evidence, sent.deed.event) for sent in evidence.world.servers.sent if sent.deed.step == 0]
    # What waited for a person goes on when they answer, also if it only was a second one of its subject.
    approved = {str(record.case_id) for record in evidence.audits if record.kind == "approval"}
    again = {str(reminder.case_id) for _, reminder in evidence.reminders if reminder.topic == "act"}
    stopped = {entry.case_id for entry in evidence.entries if entry.kind == "returned"}
    again |= {str(record.case_id) for record in evidence.audits if record.kind == "queued"}
    again |= {permit.decision.case.case_id for permit in evidence.permits}
    for stage, before, after, but_for in (
        ("ingest", read, asked, set[str]()),
        ("budget", asked, cases, set[str]()),
        ("decide", cases, decided, stopped),
        ("act", acting, begun, approved | again),
    ):
        for subject in {event.subject for event in by_case.values()}:
            mine = {case_id for case_id in by_case if by_case[case_id].subject == subject} - but_for
            order = [first for first in dict.fromkeys(before) if first in mine and first in after]
            found = [first for first in dict.fromkeys(after) if first in order]
            if order != found:
                names = [[by_case[case_id].id for case_id in line] for line in (order, found)]
                yield f"{subject}: in {stage} {names[0]} became {names[1]}"


def subject_limits_hold(evidence: Evidence) -> Iterator[str]:
    """Wherever its events lie, no two cases of a subject begin within the period of a limit of one. A case begins with
    its first reservation, perhaps long after its event came. One that waited for too long goes to a person at any time.
    """
    limit = charters.compiled(evidence.world.scenario.variant).charter.limits.per_subject
    begun: dict[str, dict[str, float]] = defaultdict(dict)
    for entry in evidence.entries:
        case = entry.case if entry.kind == "reserve" else None
        if limit is not None and case is not None and case.step == 0 and not case.escalate_because:
            begun[case.subject].setdefault(case.case_id, entry.time.timestamp())
    for subject, times in begun.items():
        for earlier, later in pairwise(sorted(times.values())):
            if limit is not None and later - earlier < limit.per_seconds:
                yield f"two cases of {subject} began within {later - earlier} s"


def what_came_once_is_no_duplicate(evidence: Evidence) -> Iterator[str]:
    """However often a process forwarded it to its subject's partition."""
    world = evidence.world
    doubled = {record.id for value in world.doubled if isinstance(record := _event_in(evidence, value), Event)}
    produced = Counter(event.id for event in world.scenario.events if event is not None)
    for record in evidence.audits:
        if "came before" in record.reason and produced[record.event_id] == 1 and record.event_id not in doubled:
            yield f"{record.event_id} came once and is called a duplicate"


def _event_in(evidence: Evidence, value: bytes | None) -> Record | None:
    entry = next(entry for entry in evidence.world.log.entries if entry.value == value)
    return evidence.world.log.record(entry)


def _case_of(evidence: Evidence, event_id: str) -> str:
    return next((case_id for case_id, event in evidence.wanted.items() if event.id == event_id), "")


CHECKS: Sequence[Check] = (
    every_event_has_one_end,
    a_case_has_one_time,
    what_cannot_be_done_is_a_dead_letter,
    every_step_has_one_decision,
    nothing_is_done_twice,
    without_a_key_nothing_is_sent_again,
    the_audit_tells_the_truth,
    nothing_acts_against_an_order,
    who_needs_approval_has_it,
    nobody_pays_a_second_time_unseen,
    timers_fire_once_and_not_early,
    the_budget_adds_up,
    nobody_waits_for_money_at_the_end,
    subjects_keep_their_order,
    subject_limits_hold,
    what_came_once_is_no_duplicate,
)
