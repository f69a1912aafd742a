"""What must hold when a world is at rest, seen from outside. Called by `play.py`.

Each check gives what is wrong, one line each; nothing when all is well.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

import orjson

from effects.actions.answers import Meaning
from schemas.records import ApprovalReply, Decision, Reminder
from streams.runtime.delivery import RawEvent
from tests.simulator import charters
from tests.simulator.actions import Sent
from tests.simulator.evidence import UNDO_FAILED, Evidence
from tests.simulator.scenario import JUNK
from tests.simulator.world import World

# What the audit may say of a deed that was done, and of one that was not.
DONE = frozenset({"done", "unknown", "undone", "undo_failed"})
NOT_DONE = frozenset({"failed", "skipped", "unknown", "undo_failed"})
Check = Callable[[Evidence], Iterator[str]]


def violations(world: World) -> list[str]:
    """All that is wrong."""
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


def what_cannot_be_done_is_buried(evidence: Evidence) -> Iterator[str]:
    """What nobody can read, and what could not be taken back; nothing else."""
    entries = evidence.world.log.entries
    buried = {record.record_id: record for record in evidence.audits if record.kind == "dead_letter"}.values()
    undos = {record.decision_id for record in buried if UNDO_FAILED in record.reason}
    unread = [record for record in buried if "Undecodable" in record.reason]
    junk = sum(entry.value == JUNK and entry.tp.topic == "t.ingest" for entry in entries)
    letters = sum(entry.value == JUNK and entry.tp.topic.endswith(".dlq") for entry in entries)
    if undos != evidence.not_taken_back:
        yield f"{len(evidence.not_taken_back)} decisions could not be taken back, and {len(undos)} are buried"
    if len(unread) != junk or letters < junk:
        yield f"{junk} records were junk, {len(unread)} are buried by {letters} letters"
    if len(unread) + len(undos) != len(buried):
        yield f"buried: {[record.reason for record in buried]}"


def every_step_has_one_decision(evidence: Evidence) -> Iterator[str]:
    found: dict[tuple[str | None, int], set[tuple[object, ...]]] = defaultdict(set)
    for record in evidence.audits:
        if record.kind == "decided":
            detail = orjson.loads(record.detail)
            answer = (record.record_id, record.action, str(detail["parameters"]), record.disposition)
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
    """The first answer with the right hash decides; what is done is what was shown, or what that answer made of it."""
    shown = {
        record.decision_id: orjson.loads(record.detail)["payload_sha256"]
        for record in evidence.audits
        if record.kind == "approval" and record.status == "needs_approval"
    }
    decided: dict[tuple[str, int], tuple[int, Decision]] = {}
    for number, (_, decision) in enumerate(evidence.decisions):
        decided.setdefault((decision.case.event.id, decision.case.step), (number, decision))
    needing = {decision.decision_id for _, decision in decided.values() if decision.disposition == "needs_approval"}
    for decision_id in shown.keys() - needing:
        yield f"a person was asked about {decision_id}, which needs no approval"
    for sent in evidence.world.servers.sent:
        _, decision = decided[sent.deed.event, sent.deed.step]
        if decision.disposition != "needs_approval":
            continue
        answer = _first_answer(evidence, decision, shown.get(decision.decision_id))
        if answer is None or answer.verdict == "reject":
            yield f"{sent.deed} was sent, and nobody had approved it"
        elif sent.deed.handler == "pay":
            edited = answer.parameters if answer.verdict == "edit" else None
            amount = orjson.loads(edited or decision.parameters)["amount"]
            if sent.request["amount"] != amount:
                yield f"{sent.request} was sent, and {amount} was approved"


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
    log, may_repeat = evidence.world.log, evidence.world.lives["later"] - 1
    first: dict[str, tuple[RawEvent, Reminder]] = {}
    for entry, reminder in evidence.reminders:
        first.setdefault(reminder.reminder_id, (entry, reminder))
    for entry, reminder in first.values():
        fired = [other for other in log.entries if other.value == reminder.value]
        said_again = evidence.world.doubled.count(reminder.value)
        if not 1 <= len(fired) <= 1 + may_repeat + said_again:
            yield f"{reminder.reason} ({reminder.reminder_id}, set at {entry.offset}) was said {len(fired)} times"
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
        if fact["state"] in ("open", "deferred"):
            yield f"the reservation of {fact['case_id']} is {fact['state']} at the end"
    yield from _drift(evidence, latest)


def _by_day(facts: dict[bytes, dict[str, object]]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for fact in facts.values():
        held = fact["reserved_microusd" if fact["state"] in ("open", "unknown") else "spent_microusd"]
        totals[str(fact["day"])] += int(str(held))
    return totals


def _drift(evidence: Evidence, facts: dict[bytes, dict[str, object]]) -> Iterator[str]:
    """What the ledger says was spent is what the first settlement of each reservation said, and covers the bill."""
    settled: dict[str, int] = {}
    for entry in evidence.entries:
        if entry.kind == "settle":
            settled.setdefault(entry.entry_id, entry.amount_microusd)
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


def subjects_keep_their_order(evidence: Evidence) -> Iterator[str]:
    """Where nothing was put off, what came first of a subject is asked for, decided and done first."""
    by_case = evidence.wanted
    read = [_case_of(evidence, event.id) for event in evidence.events]
    asked = [entry.case_id for entry in evidence.entries if entry.kind == "reserve"]
    cases = [case.case_id for case in evidence.cases if case.step == 0]
    decided = [str(record.case_id) for record in evidence.audits if record.kind == "decided" and record.step == 0]
    acting = [decision.case.case_id for _, decision in evidence.decisions if decision.case.step == 0]
    begun = [_case_of(evidence, sent.deed.event) for sent in evidence.world.servers.sent if sent.deed.step == 0]
    approved = {decision.case.case_id for _, decision in evidence.decisions if decision.disposition == "needs_approval"}
    again = {str(reminder.case_id) for _, reminder in evidence.reminders if reminder.topic == "act"}
    again |= {permit.decision.case.case_id for permit in evidence.permits}
    for stage, before, after, but_for in (
        ("ingest", read, asked, set[str]()),
        ("budget", asked, cases, {str(case_id) for case_id in evidence.deferred}),
        ("decide", cases, decided, set[str]()),
        ("act", acting, begun, approved | again),
    ):
        for subject in {event.subject for event in by_case.values()}:
            mine = {case_id for case_id in by_case if by_case[case_id].subject == subject} - but_for
            order = [first for first in dict.fromkeys(before) if first in mine and first in after]
            found = [first for first in dict.fromkeys(after) if first in order]
            if order != found:
                names = [[by_case[case_id].id for case_id in line] for line in (order, found)]
                yield f"{subject}: in {stage} {names[0]} became {names[1]}"


def _case_of(evidence: Evidence, event_id: str) -> str:
    return next((case_id for case_id, event in evidence.wanted.items() if event.id == event_id), "")


CHECKS: Sequence[Check] = (
    every_event_has_one_end,
    what_cannot_be_done_is_buried,
    every_step_has_one_decision,
    nothing_is_done_twice,
    without_a_key_nothing_is_sent_again,
    the_audit_tells_the_truth,
    nothing_acts_against_an_order,
    who_needs_approval_has_it,
    timers_fire_once_and_not_early,
    the_budget_adds_up,
    subjects_keep_their_order,
)
