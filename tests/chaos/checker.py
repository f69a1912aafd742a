"""The checks of the facts that must hold after every run. Each check returns one line for each violation.

`money.py` and `quarantine.py` have more of them; `test_checker.py` shows that each check can fail.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from hashlib import sha256

import orjson

from nightdesk.processors.playbook.failure import ACTION_FAILED, ESCALATION_FAILED, NO_ESCALATION
from nightdesk.schemas.audit import DecisionDetail
from nightdesk.schemas.ids import dead_letter_id, decision_letter_id, forwarded_letter_id, next_dead_letter_id
from nightdesk.schemas.records import AuditRecord, Decision, StepOutcome
from tests.chaos import money
from tests.chaos.facts import Cost, DeadLettered, Facts, Name
from tests.chaos.outside import NEVER_DENIED
from tests.chaos.quarantine import is_quarantined, quarantined_by_kills
from tests.schemas.details import detail_as, outcomes_of

Check = Callable[[Facts], Iterator[str]]


def observed(facts: Facts) -> Iterator[str]:
    """No scenario observed a violation, and in the end everything was read and committed."""
    yield from facts.observed


def one_end(facts: Facts) -> Iterator[str]:
    """Every event has exactly one end, and one that it may have."""
    ends: dict[Name, list[str]] = defaultdict(list)
    for name, status in facts.ends:
        ends[name].append(status)
    for sent in facts.sent:
        found = ends.get(sent.name, [])
        if len(found) != 1:
            yield f"{_named(sent.name)} has {len(found)} ends: {found}"
        elif found[0] not in sent.kind.ends:
            yield f"{_named(sent.name)} ended as {found[0]}, which is none of {sorted(sent.kind.ends)}"


def one_decision(facts: Facts) -> Iterator[str]:
    """Each step of a case was decided once: all records of a decision are equal."""
    on_topic = ((decision.decision_id, _decided(decision)) for decision in facts.decisions)
    in_audit = (
        (str(said.record.decision_id), _decided_in_audit(said.record))
        for said in facts.audited
        if said.record.kind == "decided"
    )
    answers: dict[str, set[Hashable]] = defaultdict(set)
    for decision_id, answer in (*on_topic, *in_audit):
        answers[decision_id].add(answer)
    for decision_id, found in answers.items():
        if len(found) > 1:
            yield f"decision {decision_id} was made in {len(found)} ways: {sorted(map(str, found))}"
    decided = {_event_of(said.record) for said in facts.audited if said.record.kind == "decided"}
    refused = {name for name, status in facts.ends if status == "refused"}
    for sent in facts.sent:
        if sent.name not in decided | refused:
            yield f"{_named(sent.name)} was never decided"


def same_words(facts: Facts) -> Iterator[str]:
    """Audit records with the same id are equal."""
    words: dict[str, set[Hashable]] = defaultdict(set)
    for said in facts.audited:
        words[said.record.record_id].add(_words(said.record))
    for record_id, found in words.items():
        if len(found) > 1:
            yield f"audit record {record_id} says {len(found)} things: {sorted(map(str, found))}"


def acted_once(facts: Facts) -> Iterator[str]:
    """Each effect of an event happened once if it had to and never twice; no key was executed twice."""
    seen = Counter((effect.path, effect.name) for effect in facts.effects)
    statuses = dict(facts.ends)
    for (path, name), count in seen.items():
        if count > 1:
            yield f"{_named(name)} was executed {count} times at {path}"
    for sent in facts.sent:
        missing = [path for path in sent.kind.effects if not seen[path, sent.name]]
        if statuses.get(sent.name) == "completed" and missing:
            yield f"{_named(sent.name)} is completed and was never seen at {', '.join(missing)}"
    if facts.executed_twice:
        yield f"{facts.executed_twice} idempotency keys were executed twice"


def unknown_said(facts: Facts) -> Iterator[str]:
    """What was done without a key, or by a bank with false answers, is recorded as done or unknown: never as not done,
    and never without an end.
    """
    outcomes: dict[Name, set[str]] = defaultdict(set)
    for said in facts.audited:
        if said.record.kind == "acted":
            outcomes[_event_of(said.record)] |= {outcome.status for outcome in _outcomes(said.record)}
    for effect in facts.effects:
        if effect.path in NEVER_DENIED and not outcomes[effect.name] & {"done", "unknown"}:
            recorded = sorted(outcomes[effect.name])
            yield f"{_named(effect.name)} was done at {effect.path} and is recorded as {recorded}"


def in_order(facts: Facts) -> Iterator[str]:
    """The action server saw the events of one subject in the order in which they were sent."""
    ordered = {sent.name for sent in facts.sent if sent.kind.ordered}
    last: dict[tuple[str, str, str], int] = {}
    for effect in facts.effects:
        if effect.name not in ordered:
            continue
        before = last.get((effect.path, effect.source, effect.subject), -1)
        if effect.number < before:
            yield f"{_named(effect.name)} was seen at {effect.path} after {before} of the same subject"
        last[effect.path, effect.source, effect.subject] = max(before, effect.number)


def inserted_once(facts: Facts) -> Iterator[str]:
    """ClickHouse has each record of the audit topic once, and nothing else."""
    for place, count in Counter((row.partition, row.offset) for row in facts.inserted).items():
        if count > 1:
            yield f"audit {place[0]}/{place[1]} was inserted {count} times"
    wanted, found = {said.record.record_id for said in facts.audited}, Counter(facts.records)
    for record_id in wanted - found.keys():
        yield f"audit record {record_id} is not in ClickHouse"
    for record_id, count in found.items():
        if record_id not in wanted or count > 1:
            yield f"audit record {record_id} is in ClickHouse {count} times and on the topic {record_id in wanted:d}"


def roll_ups_equal(facts: Facts) -> Iterator[str]:
    """The roll-up equals the sum over the topic, without who decided nothing: `*` has only orders."""
    wanted = {agent: cost for agent, cost in _costs(_first_said(facts)).items() if cost != Cost(0, 0)}
    for agent in wanted.keys() | facts.costs.keys():
        if wanted.get(agent) != facts.costs.get(agent):
            yield f"roll-up of {agent}: {facts.costs.get(agent)}, by the topic {wanted.get(agent)}"


def dead_letters_are_poison(facts: Facts) -> Iterator[str]:
    """The dead letters are the injected records, byte for byte, and nothing else but decisions and what was killed."""
    others = (
        dead_letter
        for dead_letter in facts.dead_letters
        if not (_of_a_decision(dead_letter) or is_quarantined(dead_letter))
    )
    by_id = {dead_letter.letter.dead_letter_id: dead_letter for dead_letter in others}
    for dead_letter in by_id.values():
        letter = dead_letter.letter
        if letter.dead_letter_id != _letter_id(dead_letter):
            yield f"dead letter {letter.dead_letter_id} is not named by its place, nor by the letter before it"
    found, wanted = Counter(dead_letter.value for dead_letter in by_id.values()), Counter(facts.poison)
    for value, count in (wanted - found).items():
        yield f"{count} poison records have no dead letter: {_shown(value)}"
    for value, count in (found - wanted).items():
        letter = next(dead_letter.letter for dead_letter in by_id.values() if dead_letter.value == value)
        yield f"{count} dead letters that nobody injected: {letter.stage}: {letter.error}: {letter.message}"


def failed_are_dead_letters(facts: Facts) -> Iterator[str]:
    """Each decision that ended as failed is a dead letter, once, and no other decision is one."""
    failed = {
        decision_letter_id(said.decision_id, 0)
        for said in _first_said(facts)
        if said.kind in ("acted", "decided") and said.status == "failed" and said.decision_id is not None
    }
    found = {dead_letter.letter.dead_letter_id for dead_letter in facts.dead_letters if _of_a_decision(dead_letter)}
    if failed != found:
        yield f"{len(failed - found)} failed decisions have no dead letter, and {len(found - failed)} others have one"


def _of_a_decision(dead_letter: DeadLettered) -> bool:
    return dead_letter.letter.error in (ACTION_FAILED, ESCALATION_FAILED, NO_ESCALATION)


CHECKS: tuple[Check, ...] = (
    observed,
    one_end,
    one_decision,
    same_words,
    acted_once,
    unknown_said,
    in_order,
    inserted_once,
    roll_ups_equal,
    dead_letters_are_poison,
    failed_are_dead_letters,
    quarantined_by_kills,
    *money.CHECKS,
)


def violations(facts: Facts, more: Iterable[Check] = ()) -> list[str]:
    """Run every check, and those of the scenarios."""
    return [f"{check.__name__}: {line}" for check in (*CHECKS, *more) for line in check(facts)]


def _named(name: Name) -> str:
    return f"event {name[0]}/{name[1]}"


def _letter_id(dead_letter: DeadLettered) -> str:
    letter = dead_letter.letter
    if letter.replay_of is not None:
        return next_dead_letter_id(letter.replay_of, dead_letter.value)
    if dead_letter.origin:
        return forwarded_letter_id(letter.topic, f"{dead_letter.origin}#{sha256(dead_letter.value).hexdigest()[:32]}")
    return dead_letter_id(letter.topic, letter.partition, letter.offset, letter.timestamp_ms)


def _shown(value: bytes) -> str:
    return f"{len(value)} bytes, {value[:24]!r}"


def _event_of(record: AuditRecord) -> Name:
    return record.event_source, int(record.event_id) if record.event_id.isdigit() else -1


def _decided(decision: Decision) -> Hashable:
    answer = orjson.dumps(orjson.loads(decision.parameters), option=orjson.OPT_SORT_KEYS)
    return decision.action, answer, decision.confidence, decision.disposition, decision.cost_microusd


def _decided_in_audit(record: AuditRecord) -> Hashable:
    answer = orjson.dumps(orjson.loads(detail_as(DecisionDetail, record).parameters), option=orjson.OPT_SORT_KEYS)
    return record.action, answer, record.confidence, record.disposition, record.cost_microusd


def _words(record: AuditRecord) -> Hashable:
    """A record's content without the times at which it was written."""
    outcomes = [(outcome.step_id, outcome.status) for outcome in _outcomes(record)]
    return record.model_copy(update={"time": None, "latency_ms": 0, "detail": repr(outcomes)}).model_dump_json()


def _outcomes(record: AuditRecord) -> Sequence[StepOutcome]:
    return outcomes_of(record) if record.kind == "acted" else ()


def _first_said(facts: Facts) -> list[AuditRecord]:
    """The first record of each id, which is the one that counts."""
    first: dict[str, AuditRecord] = {}
    for said in facts.audited:
        first.setdefault(said.record.record_id, said.record)
    return list(first.values())


def _costs(records: Iterable[AuditRecord]) -> dict[str, Cost]:
    decisions, cost_microusd = Counter[str](), Counter[str]()
    for record in records:
        if record.agent is not None:
            decisions[record.agent] += record.kind == "decided"
            cost_microusd[record.agent] += record.cost_microusd
    return {agent: Cost(decisions[agent], cost_microusd[agent]) for agent in decisions}
