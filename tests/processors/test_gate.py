"""The gates' disposition of a decision, as a table."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors.gate import GateResult, evaluate, wait_seconds
from nightdesk.processors.replies import AgentDecision
from nightdesk.schemas.records import Spent, Verdict
from tests.processors.examples import case, compiled

RULE = "message: no refund over 100"
CHARTER = compiled()
DRY = compiled(("mode: live", "mode: dry_run"))
TEXT, AMOUNT = {"text": "t"}, {"amount": 5}
PASSED, FAILED = Verdict(rule="refund-cap", passed=True), Verdict(rule="refund-cap", passed=False, reason="too much")


def decision(action: str, confidence: float, parameters: dict[str, Any]) -> AgentDecision:
    return AgentDecision(action=action, confidence=confidence, parameters=parameters, reasoning="r")


@pytest.mark.parametrize(
    ("action", "confidence", "parameters", "disposition", "reason"),
    [
        ("respond", 0.75, TEXT, "execute", ""),
        ("respond", 0.74, TEXT, "needs_approval", "below the 0.75"),
        ("respond", 0.0, TEXT, "needs_approval", "below"),
        ("refund", 1.0, AMOUNT, "needs_approval", "always needs approval"),
        ("escalate", 0.0, {"reason": "x"}, "execute", ""),
        ("look", 0.7, {}, "execute", ""),
        ("wait", 0.69, {"after": "24h"}, "needs_approval", "below the 0.70"),
        ("wait", 0.9, {"after": "24h"}, "execute", ""),
        ("delete", 1.0, {}, "refused", "allows no action 'delete'"),
        ("respond", 1.0, {}, "refused", "required property"),
        ("respond", 1.0, {"text": "t", "to": "x"}, "refused", "to"),
    ],
)
def test_disposition(action: str, confidence: float, parameters: dict[str, Any], disposition: str, reason: str) -> None:
    gate_result = evaluate(CHARTER, case(CHARTER), decision(action, confidence, parameters), ())
    assert (gate_result.disposition, gate_result.escalate) == (disposition, False)
    assert reason in gate_result.reason
    dry = evaluate(DRY, case(DRY), decision(action, confidence, parameters), ())
    assert dry.disposition == ("refused" if disposition == "refused" else "dry_run")


def test_the_floor_holds_for_actions_that_ask_for_less() -> None:
    assert evaluate(CHARTER, case(CHARTER), decision("wait", 0.49, {"after": "1h"}), ()).disposition == "needs_approval"
    low = compiled(("mode: live", "mode: live\nconfidence_floor: 0.1"))
    assert evaluate(low, case(low), decision("wait", 0.49, {"after": "1h"}), ()).disposition == "execute"


def test_where_nobody_may_be_asked_low_confidence_hands_over() -> None:
    assert evaluate(CHARTER, case(CHARTER), decision("look", 0.1, {}), ()).escalate


@pytest.mark.parametrize(
    ("otherwise", "disposition", "escalate"),
    [("refuse", "refused", False), ("escalate", "refused", True), ("needs_approval", "needs_approval", False)],
)
def test_a_rule_that_fails_leads_where_the_charter_says(otherwise: str, disposition: str, escalate: bool) -> None:
    charter = compiled((RULE, f"{RULE}\n    otherwise: {otherwise}"))
    gate_result = evaluate(charter, case(charter), decision("refund", 1.0, AMOUNT), (FAILED,))
    assert (gate_result.disposition, gate_result.escalate) == (disposition, escalate)
    assert "refund-cap: too much" in gate_result.reason


def test_the_strictest_answer_wins() -> None:
    charter = compiled((RULE, f"{RULE}\n    otherwise: refuse\n  - {{name: b, require: 'true', otherwise: escalate}}"))
    verdicts = (Verdict(rule="b", passed=False, reason="b"), FAILED)
    assert evaluate(charter, case(charter), decision("refund", 0.1, AMOUNT), verdicts) == GateResult(
        "refused", "refund-cap: too much"
    )


def test_a_verdict_of_nobody_asks_a_person() -> None:
    votes = Verdict(rule="votes", passed=False, reason="1 of 3")
    assert evaluate(CHARTER, case(CHARTER), decision("respond", 1.0, TEXT), (votes,)).disposition == "needs_approval"


@pytest.mark.parametrize(
    ("spent", "reason"),
    [({"actions": 5}, "5 actions"), ({"external_calls": 10}, "10 external calls")],
)
def test_a_bound_that_is_reached_hands_over(spent: dict[str, int], reason: str) -> None:
    below = case(CHARTER, spent=Spent(**{name: number - 1 for name, number in spent.items()}))
    assert evaluate(CHARTER, below, decision("respond", 1.0, TEXT), ()).disposition == "execute"
    reached = case(CHARTER, spent=Spent(**spent))
    gate_result = evaluate(CHARTER, reached, decision("respond", 1.0, TEXT), ())
    assert gate_result.escalate
    assert reason in gate_result.reason
    assert evaluate(CHARTER, reached, decision("escalate", 0.0, {"reason": "x"}), ()).disposition == "execute"


def test_an_action_without_money_hands_over_or_is_refused_whoever_approved() -> None:
    closed = case(CHARTER, closed_actions=("respond", "escalate"))
    gate_result = evaluate(CHARTER, closed, decision("respond", 0.9, TEXT), (), approved=True)
    assert (gate_result.disposition, gate_result.escalate) == ("refused", True)
    assert gate_result.reason == "the day's money for respond is spent, or reserved for open cases"
    strict = compiled(("per_case_usd: 0.50", "per_case_usd: 0.50, when_spent: refuse"))
    gate_result = evaluate(strict, closed, decision("respond", 0.9, TEXT), ())
    assert (gate_result.disposition, gate_result.escalate) == ("refused", False)
    handed = evaluate(CHARTER, closed, decision("escalate", 0.0, {"reason": "x"}), ())
    assert handed.disposition == "execute", "handing over is never stopped"


def test_a_lost_vote_asks_a_person_and_keeps_nobody_from_handing_over() -> None:
    lost = (Verdict(rule="votes", passed=False, reason="1 of 3"),)
    assert evaluate(CHARTER, case(CHARTER), decision("respond", 1.0, TEXT), lost).disposition == "needs_approval"
    assert evaluate(CHARTER, case(CHARTER), decision("escalate", 0.0, {"reason": "x"}), lost).disposition == "execute"


def test_a_wait_that_is_too_long_hands_over() -> None:
    assert evaluate(CHARTER, case(CHARTER), decision("wait", 1.0, {"after": "25h"}), ()).escalate
    assert wait_seconds(decision("wait", 1.0, {"after": "25h"})) == 90_000
    endless = compiled(("    at_most: 24h\n", ""))
    assert evaluate(endless, case(endless), decision("wait", 1.0, {"after": "30d"}), ()).disposition == "execute"
    assert evaluate(endless, case(endless), decision("wait", 1.0, {"after": "31d"}), ()).escalate
    assert wait_seconds(decision("wait", 1.0, {})) == 0


def test_approval_answers_calls_for_approval_and_nothing_else() -> None:
    def approved(verdicts: tuple[Verdict, ...], **parameters: Any) -> GateResult:
        return evaluate(CHARTER, case(CHARTER), decision("refund", 0.1, parameters), verdicts, approved=True)

    assert approved((PASSED,), amount=5).disposition == "execute"
    assert approved((FAILED,), amount=5).disposition == "refused"
    assert approved((PASSED,), amount="5").disposition == "refused"
    assert evaluate(DRY, case(DRY), decision("refund", 1.0, AMOUNT), (), approved=True).disposition == "dry_run"


@given(
    action=st.text(max_size=12) | st.sampled_from(list(CHARTER.actions)),
    confidence=st.floats(0, 1),
    parameters=st.dictionaries(st.sampled_from(["text", "amount", "after", "x"]), st.text(max_size=5) | st.integers()),
    passed=st.booleans(),
)
def test_nothing_outside_the_charter_is_executed(
    action: str, confidence: float, parameters: dict[str, Any], passed: bool
) -> None:
    verdicts = (Verdict(rule="refund-cap", passed=passed),)
    gate_result = evaluate(CHARTER, case(CHARTER), decision(action, confidence, parameters), verdicts)
    if gate_result.disposition == "execute":
        allowed = CHARTER.actions[action]
        assert allowed.problem_with(parameters) is None
        assert passed
        assert confidence >= allowed.threshold or allowed.policy.kind == "escalate"
        assert allowed.policy.approval != "always"
