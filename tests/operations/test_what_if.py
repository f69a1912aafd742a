"""What the gates say about a recorded decision: by the code that decides, from the audit alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from nightdesk.messaging.failures import Failure
from nightdesk.operations import what_if as operation
from nightdesk.operations.agents import Agent, CharterVersion
from nightdesk.operations.installation import Installation
from nightdesk.operations.what_if import Proposal, as_case, consider
from nightdesk.processors.charter import charter_to_json
from nightdesk.processors.replies import AgentDecision
from nightdesk.processors.what_if import what_if
from nightdesk.schemas import ids
from nightdesk.schemas.records import StepOutcome, Verdict
from nightdesk.sinks.story import CaseStory, DecisionStory, EventStory, OutcomeStory, Story
from tests.processors.examples import case, compiled

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
CHARTER = compiled()
CASE_ID = ids.case_id(CHARTER.agent, "shop", "evt-1", "ticket-1")


def decision(step: int, action: str, parameters: dict[str, Any], **more: Any) -> DecisionStory:
    given = {
        "kind": "escalate" if action == "escalate" else "respond",
        "parameters": json.dumps(parameters),
        "reasoning": "r",
        "decision_id": ids.decision_id(CASE_ID, step),
        "step": step,
        "action": action,
        "confidence": 0.95,
        "disposition": "execute",
        "provider": "rules",
        "model": None,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_microusd": 7,
        "latency_ms": 3,
        "decided_at": NOW,
    }
    return DecisionStory.model_validate(given | more)


def story(*decisions: DecisionStory, outcomes: tuple[OutcomeStory, ...] = ()) -> Story:
    about = {"subject": "ticket-1", "event_id": "evt-1", "event_source": "shop", "event_type": "ticket.created"}
    of_case = CaseStory(
        **about,
        case_id=CASE_ID,
        agent=CHARTER.agent,
        charter_version=CHARTER.version,
        status="escalated",
        reason="",
        decisions=list(decisions),
        outcomes=list(outcomes),
        dead_letters=[],
        timeline=[],
        input_tokens=0,
        output_tokens=0,
        reserved_microusd=0,
        cost_microusd=0,
        received_at=NOW,
        last_at=NOW,
        traceparent=None,
    )
    of_event = EventStory(
        event_id="evt-1",
        event_source="shop",
        event_type="ticket.created",
        time=NOW,
        data=json.loads(case(CHARTER).event.data) | {"amount": 150},
        received_at=NOW,
        status="escalated",
        state="ended",
        reason="",
        case_ids=[CASE_ID],
    )
    return Story(asked="", subject="ticket-1", events=[of_event], cases=[of_case], other_subjects=[])


def ask(monkeypatch: pytest.MonkeyPatch, found: Story, proposal: Proposal, step: int = 0) -> Any:
    version = CharterVersion(CHARTER.version, charter_to_json(CHARTER.charter), "ada", NOW)
    agent = Agent(CHARTER.agent, CHARTER.version, CHARTER.charter, [version], ())
    monkeypatch.setattr(operation, "trace", lambda _installation, _id: found)
    monkeypatch.setattr(operation, "read_agent", lambda _installation, _name: agent)
    installation: Installation = object()  # type: ignore[assignment]
    return consider(installation, ids.decision_id(CASE_ID, step), proposal, lambda name: name == CHARTER.agent)


def test_what_was_refused_would_wait_for_a_person_if_the_amount_were_40(monkeypatch: pytest.MonkeyPatch) -> None:
    found = story(decision(0, "escalate", {"reason": "no refund over 100"}))
    too_much = ask(monkeypatch, found, Proposal("refund", '{"amount": 150}', 0.95))
    assert (too_much.result.disposition, too_much.result.escalates) == ("refused", False)
    assert "no refund over 100" in too_much.result.reason
    less = ask(monkeypatch, found, Proposal("refund", '{"amount": 40}', 0.95))
    assert (less.result.disposition, less.result.escalates) == ("needs_approval", False)
    assert all(verdict.passed for verdict in less.result.verdicts)


def test_without_parameters_those_of_the_action_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask(monkeypatch, story(decision(0, "escalate", {"reason": "x"})), Proposal("refund"))
    assert found.template == {"amount": 150}
    assert found.answer.parameters == {"amount": 150}
    same = ask(monkeypatch, story(decision(0, "respond", {"text": "t"})), Proposal())
    assert (same.answer.action, same.answer.parameters) == ("respond", {"text": "t"})
    assert same.result.disposition == "execute"


@pytest.mark.parametrize("parameters", ["[]", "{", '{"a": 1, "a": 2}'])
def test_what_is_no_answer_is_said(monkeypatch: pytest.MonkeyPatch, parameters: str) -> None:
    with pytest.raises(Failure, match="the edit"):
        ask(monkeypatch, story(decision(0, "respond", {"text": "t"})), Proposal("", parameters))


def test_a_charter_that_is_gone_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found = story(decision(0, "respond", {"text": "t"}))
    [of_case] = found.cases
    old = found.model_copy(update={"cases": [of_case.model_copy(update={"charter_version": "old"})]})
    with pytest.raises(Failure, match="old"):
        ask(monkeypatch, old, Proposal())
    assert ask(monkeypatch, old, Proposal(version="now")).charter_version == CHARTER.version


def test_a_decision_of_an_agent_that_is_not_seen_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    found = story(decision(0, "respond", {"text": "t"}))
    [of_case] = found.cases
    with pytest.raises(Failure, match="no decision is known"):
        ask(
            monkeypatch,
            found.model_copy(update={"cases": [of_case.model_copy(update={"agent": "nightly"})]}),
            Proposal(),
        )


def test_a_later_step_has_what_came_before_it() -> None:
    outcome = StepOutcome(
        step_id="s",
        position=0,
        handler="customer.history",
        status="done",
        attempts=2,
        latency_ms=5,
        started_at=NOW,
        result='{"n": 1}',
    )
    first, second = decision(0, "look", {}), decision(1, "respond", {"text": "t"})
    told = OutcomeStory(**outcome.__dict__, decision_id=first.decision_id, action="look", step=0)
    found = story(first, second, outcomes=(told,))
    [of_case], [event] = found.cases, found.events
    rebuilt = as_case(of_case, second, event, CHARTER.version)
    assert rebuilt.step == 1
    assert [past.action for past in rebuilt.history] == ["look"]
    assert rebuilt.history[0].outcomes[0].result == '{"n": 1}'
    assert (rebuilt.spent.actions, rebuilt.spent.external_calls, rebuilt.spent.cost_microusd) == (1, 2, 7)


def test_votes_stay_and_rules_are_evaluated_again() -> None:
    answer = AgentDecision(action="respond", confidence=0.9, parameters={"text": "t"}, reasoning="r")
    recorded = (Verdict(rule="votes", passed=False, reason="1 of 3"), Verdict(rule="refund-cap", passed=False))
    found = what_if(CHARTER, case(CHARTER), answer, recorded)
    assert [verdict.rule for verdict in found.verdicts if not verdict.passed] == ["votes"]
    assert found.disposition == "needs_approval"
