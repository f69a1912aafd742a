"""The charters of this repository are valid, known to editors, and sensible over their whole day without a model."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from nightdesk.operations.charters import load_charter
from nightdesk.processors import playbook, prompts, routing
from nightdesk.processors.charter import CompiledCharter, compile_charter
from nightdesk.processors.charter.schema import charter_schema, charter_schema_text
from nightdesk.processors.charter.source import read_yaml
from nightdesk.processors.conditions import is_met
from nightdesk.processors.deciding import decide
from nightdesk.processors.model import ModelUnavailable
from nightdesk.processors.playbook import Progress, StepResult
from nightdesk.processors.prices import worst_ask_price_microusd
from nightdesk.schemas.records import CancelCondition, Decision, Event, Fallback

CHARTERS = Path(__file__).parents[3] / "charters"
TRIAGE = CHARTERS / "support-triage"
AWAY = ModelUnavailable(reasons=(Fallback(provider="anthropic", reason="authentication", called=True),))


def day() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (TRIAGE / "events.jsonl").read_text(encoding="utf-8").splitlines()]


def as_event(line: dict[str, Any]) -> Event:
    return Event.model_validate({**line, "data": json.dumps(line["data"])})


@pytest.fixture(scope="module")
def triage() -> CompiledCharter:
    return compile_charter(load_charter(TRIAGE))


def without_a_model(charter: CompiledCharter, event: Event) -> Decision | None:
    if routing.route(charter, event) is None:
        return None
    flow = decide(routing.open_case(charter, event, event.time), charter, event.time)
    try:
        next(flow)
        flow.send(AWAY)
    except StopIteration as end:
        decision: Decision = end.value
        return decision
    raise AssertionError("it asks again although no model answers")


def test_the_schema_for_editors_is_the_current_one() -> None:
    committed = (CHARTERS / "charter.schema.json").read_text(encoding="utf-8")
    assert committed == charter_schema_text(), (
        "run: python -m nightdesk.processors.charter.schema > charters/charter.schema.json"
    )


@pytest.mark.parametrize("file", sorted(CHARTERS.glob("*/charter.yaml")), ids=lambda file: str(file.parent.name))
def test_every_charter_is_right_for_us_and_for_editors(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=../charter.schema.json\n")
    assert list(jsonschema_rs.validator_for(charter_schema()).iter_errors(read_yaml(text).data)) == []
    compile_charter(load_charter(file))


def test_the_schema_knows_what_is_wrong() -> None:
    validator = jsonschema_rs.validator_for(charter_schema())
    right = {"agent": "x", "on": [{"type": "t"}], "decide": {"provider": "rules"}, "actions": {"a": {"kind": "wait"}}}
    assert validator.is_valid(right)
    assert not validator.is_valid({**right, "mood": "live"})


def test_the_day_is_a_day_with_everything_in_it() -> None:
    lines = day()
    assert len(lines) >= 60
    assert len({line["time"][:10] for line in lines}) == 1
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    ids = [line["id"] for line in lines]
    assert len(ids) - len(set(ids)) == 1
    subjects = [line["subject"] for line in lines]
    assert sum(subjects.count(subject) > 1 for subject in set(subjects)) >= 5
    texts = [line["data"].get("text", "") for line in lines if isinstance(line["data"], dict)]
    assert max(len(text) for text in texts) >= 50_000
    assert "" in texts


def test_every_ticket_has_a_sensible_end_without_a_model(triage: CompiledCharter) -> None:
    ends = {line["id"]: without_a_model(triage, as_event(line)) for line in day()}
    decided = [decision for decision in ends.values() if decision is not None]
    assert {decision.action for decision in decided} == {"respond", "refund", "escalate", "wait"}
    assert {decision.provider for decision in decided} == {"rules"}
    for decision in decided:
        # Money never moves without a person, whoever asks for it and however.
        assert decision.disposition == ("needs_approval" if decision.action == "refund" else "execute")
        assert not any(each.reason == "rule_failed" for each in decision.fallbacks)


def followed_up(charter: CompiledCharter, answered: Decision) -> Event:
    """The event that comes after an answer, unless it is cancelled."""
    flow = playbook.run(answered, charter, Progress(), answered.decided_at)
    outcome = next(flow)
    while True:
        done = outcome.outcome(StepResult("done", '{"id": "r-1"}'), started_at=answered.decided_at, latency_ms=1)
        try:
            outcome = flow.send(done)
        except StopIteration as end:
            [timer] = end.value.timers
            assert [condition.type for condition in timer.cancel_when] == ["ticket.closed", "ticket.created"]
            assert isinstance(timer.record, Event)
            return timer.record


def test_answered_tickets_are_asked_about_once_and_few_reach_a_person(triage: CompiledCharter) -> None:
    """Of those that are still open after two days and whose customer has not written again."""
    decided = [without_a_model(triage, as_event(line)) for line in day() if line["type"] == "ticket.created"]
    answered = [decision for decision in decided if decision is not None and decision.action == "respond"]
    assert len(answered) >= 20
    for decision in answered:
        second = without_a_model(triage, followed_up(triage, decision))
        assert second is not None
        assert (second.action, second.disposition) == ("check_back", "execute")
        unsure = decision.model_copy(update={"confidence": 0.75})
        third = without_a_model(triage, followed_up(triage, unsure))
        assert third is not None
        assert third.action == "escalate"


@pytest.mark.parametrize(("text", "is_heard"), [("Never mind, please cancel my refund", True), ("Thank you!", False)])
def test_a_customer_who_takes_a_refund_back_is_heard(triage: CompiledCharter, text: str, is_heard: bool) -> None:
    [condition] = triage.charter.actions["refund"].reconsider_on
    newer = as_event({**day()[1], "id": "evt-newer", "data": {"text": text}})
    assert is_met([CancelCondition(type=condition.type, when=condition.when or "")], newer) is is_heard


def end_of(charter: CompiledCharter, subject: str, position: int = 0) -> Decision:
    line = [line for line in day() if line["subject"] == subject][position]
    decision = without_a_model(charter, as_event(line))
    assert decision is not None
    return decision


@pytest.mark.parametrize("ticket", [1006, 1009, 1024, 1028, 1029, 1033, 1045])
def test_who_gives_orders_and_who_is_in_danger_meets_a_person(triage: CompiledCharter, ticket: int) -> None:
    assert end_of(triage, f"ticket-{ticket}").action == "escalate"


def test_what_breaks_the_schema_is_rejected_with_a_reason(triage: CompiledCharter) -> None:
    reasons = {line["subject"]: routing.problems(triage, as_event(line)) for line in day()}
    rejected = {subject for subject, found in reasons.items() if found}
    assert rejected == {f"ticket-{number}" for number in (1020, 1021, 1042, 1056, 1062)}


def test_one_question_fits_the_budget_of_a_case(triage: CompiledCharter) -> None:
    for line in day():
        event = as_event(line)
        request = prompts.build(triage, routing.open_case(triage, event, event.time))
        worst = worst_ask_price_microusd(triage.charter.decide.asked, request, event.time)
        assert worst < triage.charter.budget.per_case_microusd / 2
