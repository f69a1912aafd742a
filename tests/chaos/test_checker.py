"""The checker can fail: the facts of one good case, and every change to them that a check must find."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from nightdesk.processors.ledger import Fact
from nightdesk.schemas import ids
from nightdesk.schemas.audit import ActionDetail, DecisionDetail
from nightdesk.schemas.records import AuditRecord, BudgetEntry, Case, DeadLetter, Decision, StepOutcome
from tests.chaos.checker import CHECKS, violations
from tests.chaos.events import ANSWER, APPEND, Sent
from tests.chaos.facts import AuditedRecord, Cost, DeadLettered, Facts, InsertedRow, LedgerWrite
from tests.chaos.outside import Effect

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AGENT = "answerer"
SENT = (Sent("storm", 0, "s", ANSWER), Sent("storm", 1, "s", APPEND))
POISON = b"no avro"


def case(sent: Sent) -> Case:
    event = sent.event()
    case_id = ids.case_id(AGENT, event.source, event.id, event.subject)
    return Case(case_id=case_id, agent=AGENT, charter_version="v", event=event, received_at=NOW, reserved_microusd=1000)


def decision(sent: Sent) -> Decision:
    one = case(sent)
    return Decision(
        decision_id=ids.decision_id(one.case_id, 0),
        case=one,
        action=sent.kind.want,
        kind="respond",
        confidence=0.9,
        parameters="{}",
        reasoning="",
        provider="openai-compatible",
        disposition="execute",
        cost_microusd=300,
        decided_at=NOW,
    )


def audit(sent: Sent, kind: str, detail: BaseModel, **fields: object) -> AuditRecord:
    made = decision(sent)
    return AuditRecord.model_validate(
        {
            "record_id": ids.record_id(kind, made.decision_id),
            "kind": kind,
            "time": NOW,
            "subject": sent.subject,
            "event_id": str(sent.number),
            "event_source": sent.source,
            "case_id": made.case.case_id,
            "agent": AGENT,
            "decision_id": made.decision_id,
            "action": made.action,
            "detail": detail.model_dump_json(),
            **fields,
        }
    )


def outcome(step_id: str, status: str) -> ActionDetail:
    about = {"step_id": step_id, "position": 0, "handler": "reply.send", "status": status, "started_at": NOW}
    return ActionDetail(outcomes=(StepOutcome.model_validate(about),))


def said(sent: Sent, status: str = "done") -> list[AuditRecord]:
    made = decision(sent)
    explained = DecisionDetail(kind=made.kind, parameters=made.parameters, reasoning=made.reasoning)
    decided = {"cost_microusd": 300, "confidence": 0.9, "disposition": "execute", "status": "running"}
    return [
        audit(sent, "decided", explained, **decided),
        audit(sent, "acted", outcome(f"step-{sent.number}", status), status="completed"),
    ]


def at_their_place(records: list[AuditRecord]) -> tuple[AuditedRecord, ...]:
    return tuple(AuditedRecord(0, offset, record) for offset, record in enumerate(records))


def failed(records: tuple[AuditedRecord, ...]) -> tuple[AuditedRecord, ...]:
    """The same, but the last playbook failed."""
    last = records[-1]
    return (*records[:-1], replace(last, record=last.record.model_copy(update={"status": "failed"})))


def fact(sent: Sent, state: str, reserved: int = 1000, spent: int = 0) -> Fact:
    fields = {"agent": AGENT, "case_id": case(sent).case_id, "state": state, "day": "2026-11-23", "at": 1.0}
    return Fact.model_validate({**fields, "reserved_microusd": reserved, "spent_microusd": spent})


def write(one: Fact, term: int = 1) -> LedgerWrite:
    return LedgerWrite(one.case_id.encode(), term, one)


def settlement(sent: Sent, amount_microusd: int = 300) -> BudgetEntry:
    case_id = case(sent).case_id
    entry_id = ids.entry_id(case_id, "settle")
    return BudgetEntry(
        entry_id=entry_id, kind="settle", agent=AGENT, case_id=case_id, amount_microusd=amount_microusd, time=NOW
    )


def effect(sent: Sent, path: str) -> Effect:
    return Effect(path, sent.source, sent.number, sent.subject, at=1.0)


def letter(value: bytes, offset: int = 7) -> DeadLettered:
    described = DeadLetter(
        dead_letter_id=ids.dead_letter_id("ingest", 0, offset, 0),
        stage="ingest",
        topic="ingest",
        partition=0,
        offset=offset,
        timestamp_ms=0,
        error="Undecodable",
        message="",
        traceback="",
        program_version="0",
        time=NOW,
    )
    return DeadLettered(described, value)


def quarantined(sent: Sent, **fields: object) -> DeadLettered:
    """The letter of a decision at which the worker was killed repeatedly."""
    about = {"kind": "quarantined", "topic": "act", "stage": "act", "case_id": case(sent).case_id, **fields}
    return DeadLettered(letter(b"").letter.model_copy(update=about), b"decision")


def good() -> Facts:
    records = [record for sent in SENT for record in said(sent)]
    return Facts(
        sent=SENT,
        poison=(POISON,),
        limits_microusd={AGENT: 2000},
        audited=at_their_place(records),
        decisions=tuple(decision(sent) for sent in SENT),
        cases=tuple(case(sent) for sent in SENT),
        entries=tuple(settlement(sent) for sent in SENT),
        ledger=(
            *(write(fact(sent, "open")) for sent in SENT),
            *(write(fact(sent, "settled", spent=300)) for sent in SENT),
        ),
        dead_letters=(letter(POISON),),
        ends=tuple((sent.name, "completed") for sent in SENT),
        inserted=tuple(InsertedRow(0, offset, record.record_id) for offset, record in enumerate(records)),
        records=tuple(record.record_id for record in records),
        costs={AGENT: Cost(2, 600)},
        effects=(effect(SENT[0], "/answers"), effect(SENT[0], "/notes"), effect(SENT[1], "/appends")),
    )


def says_twice(facts: Facts, **fields: object) -> Facts:
    """The last audit record again, with different content."""
    again = facts.audited[-1].record.model_copy(update=fields)
    return replace(facts, audited=(*facts.audited, AuditedRecord(0, len(facts.audited), again)))


DOCTORED: dict[str, tuple[str, Callable[[Facts], Facts]]] = {
    "somebody is behind": ("observed", lambda facts: replace(facts, observed=("not calm after 240 s",))),
    "an event is lost": ("one_end", lambda facts: replace(facts, ends=facts.ends[:1])),
    "an event has two ends": ("one_end", lambda facts: replace(facts, ends=(*facts.ends, facts.ends[0]))),
    "an event has an end that it must not have": (
        "one_end",
        lambda facts: replace(facts, ends=((SENT[0].name, "failed"), facts.ends[1])),
    ),
    "another decision is on the topic": (
        "one_decision",
        lambda facts: replace(
            facts, decisions=(*facts.decisions, facts.decisions[0].model_copy(update={"action": "append"}))
        ),
    ),
    "the audit has another decision than the topic": (
        "one_decision",
        lambda facts: replace(facts, decisions=(facts.decisions[0].model_copy(update={"confidence": 0.8}),)),
    ),
    "an event was never decided": ("one_decision", lambda facts: replace(facts, audited=facts.audited[:2])),
    "an audit record says two things": ("same_words", lambda facts: says_twice(facts, status="failed")),
    "an audit record has two outcomes": (
        "same_words",
        lambda facts: says_twice(facts, detail=outcome("step-1", "unknown").model_dump_json()),
    ),
    "an effect is seen twice": (
        "acted_once",
        lambda facts: replace(facts, effects=(*facts.effects, facts.effects[0])),
    ),
    "a completed event is never seen": ("acted_once", lambda facts: replace(facts, effects=facts.effects[1:])),
    "a key is executed twice": ("acted_once", lambda facts: replace(facts, executed_twice=1)),
    "what was done is recorded as failed": (
        "unknown_said",
        lambda facts: replace(facts, audited=(*facts.audited[:2], *at_their_place(said(SENT[1], status="failed")))),
    ),
    "a later event acts first": (
        "in_order",
        lambda facts: replace(
            facts, sent=(SENT[0], replace(SENT[1], kind=ANSWER)), effects=(effect(SENT[1], "/notes"), *facts.effects)
        ),
    ),
    "an offset was inserted twice": (
        "inserted_once",
        lambda facts: replace(facts, inserted=(*facts.inserted, facts.inserted[0])),
    ),
    "a record did not land": ("inserted_once", lambda facts: replace(facts, records=facts.records[1:])),
    "a record is shown twice": (
        "inserted_once",
        lambda facts: replace(facts, records=(*facts.records, facts.records[0])),
    ),
    "a record came from nowhere": ("inserted_once", lambda facts: replace(facts, records=(*facts.records, "x"))),
    "a roll-up counts twice": ("roll_ups_equal", lambda facts: replace(facts, costs={AGENT: Cost(3, 600)})),
    "a poison record is lost": ("dead_letters_are_poison", lambda facts: replace(facts, dead_letters=())),
    "a good record becomes a dead letter": (
        "dead_letters_are_poison",
        lambda facts: replace(facts, dead_letters=(*facts.dead_letters, letter(b"good", offset=8))),
    ),
    "a dead letter has a wrong id": (
        "dead_letters_are_poison",
        lambda facts: replace(
            facts,
            dead_letters=(replace(letter(POISON), letter=letter(POISON).letter.model_copy(update={"offset": 9})),),
        ),
    ),
    "a record is in quarantine after fewer kills than it takes": (
        "quarantined_by_kills",
        lambda facts: replace(facts, kills=2, dead_letters=(*facts.dead_letters, quarantined(SENT[0]))),
    ),
    "the letter of a record in quarantine names no case": (
        "quarantined_by_kills",
        lambda facts: replace(facts, kills=9, dead_letters=(*facts.dead_letters, quarantined(SENT[0], case_id=None))),
    ),
    "a failed action has no dead letter": (
        "failed_are_dead_letters",
        lambda facts: replace(facts, audited=failed(facts.audited)),
    ),
    "a case that nobody can give to a person has no dead letter": (
        "failed_are_dead_letters",
        lambda facts: replace(facts, audited=failed(facts.audited[:3])),
    ),
    "the ledger forgot a settlement": (
        "balances_agree",
        lambda facts: replace(facts, ledger=(*facts.ledger[:3], write(fact(SENT[1], "settled", spent=299)))),
    ),
    "the topic has a settlement more": (
        "balances_agree",
        lambda facts: replace(
            facts, entries=(*facts.entries, facts.entries[0].model_copy(update={"entry_id": "another"}))
        ),
    ),
    "ClickHouse has another cost": ("balances_agree", lambda facts: replace(facts, costs={AGENT: Cost(2, 601)})),
    "a case was never settled": ("settled_once", lambda facts: replace(facts, entries=facts.entries[:1])),
    "a case was settled in two ways": (
        "settled_once",
        lambda facts: replace(facts, entries=(*facts.entries, settlement(SENT[0], 301))),
    ),
    "a reservation is open": ("nothing_reserved", lambda facts: replace(facts, ledger=facts.ledger[:3])),
    "the limit was passed for a moment": (
        "limit_kept",
        lambda facts: replace(facts, limits_microusd={AGENT: 1999}),
    ),
    "budget verify finds something": ("verified", lambda facts: replace(facts, drifts=("drift",))),
}


def test_facts_of_a_good_run_violate_nothing() -> None:
    assert violations(good()) == []


@pytest.mark.parametrize("what", DOCTORED)
def test_doctored_facts_are_found(what: str) -> None:
    check, doctor = DOCTORED[what]
    assert any(line.startswith(f"{check}: ") for line in violations(doctor(good())))


def test_every_check_is_shown_to_fail() -> None:
    assert {check for check, _ in DOCTORED.values()} == {check.__name__ for check in CHECKS}


def test_a_record_in_quarantine_after_three_kills_is_no_violation() -> None:
    """Once it was replayed, all other checks hold for its event too."""
    facts = good()
    assert violations(replace(facts, kills=3, dead_letters=(*facts.dead_letters, quarantined(SENT[0])))) == []


def test_what_a_process_wrote_after_its_term_counts_for_nothing() -> None:
    late = write(fact(SENT[0], "open", reserved=5000), term=0)
    assert violations(replace(good(), ledger=(*good().ledger, late))) == []


def test_what_is_said_twice_in_the_same_words_is_no_violation() -> None:
    later = says_twice(good(), time=NOW.replace(hour=13), latency_ms=9)
    assert violations(later) == []
