"""Evaluates the charter's rules on a decision."""

import pytest

from nightdesk.processors.replies import AgentDecision
from nightdesk.processors.verification import verify
from nightdesk.schemas.records import Verdict
from tests.processors.examples import case, compiled, event

RULE = """\
  - name: refund-cap
    for: [refund]
    require: decision.parameters.amount <= 100.0
    message: no refund over 100
"""
MORE = RULE + (
    '  - {name: sure, require: decision.confidence >= 0.5}\n'
    '  - {name: within, for: [refund], require: decision.parameters.amount <= event.data.amount}\n'
    '  - {name: once, require: "!case.history.exists(past, past.kind == \'research\')"}\n'
)  # fmt: skip


def decision(action: str = "refund", confidence: float = 0.95, **parameters: object) -> AgentDecision:
    return AgentDecision(action=action, confidence=confidence, parameters=parameters, reasoning="r")


@pytest.mark.parametrize(("amount", "passed"), [(100, True), (99.99, True), (100.01, False), (10**9, False)])
def test_a_rule_holds_or_does_not(amount: float, passed: bool) -> None:
    charter = compiled()
    reason = "" if passed else "no refund over 100"
    assert verify(charter, case(charter), decision(amount=amount)) == (
        Verdict(rule="refund-cap", passed=passed, reason=reason),
    )


def test_a_rule_for_other_actions_is_not_asked() -> None:
    charter = compiled()
    assert verify(charter, case(charter), decision("respond", text="t")) == ()


def test_every_rule_is_evaluated_in_order() -> None:
    charter = compiled((RULE, MORE))
    verdicts = verify(charter, case(charter, event(amount=10)), decision(amount=500, confidence=0.1))
    assert [(verdict.rule, verdict.passed) for verdict in verdicts] == [
        ("refund-cap", False), ("sure", False), ("within", False), ("once", True)
    ]  # fmt: skip
    assert verdicts[1].reason == "is not true: decision.confidence >= 0.5"


def test_a_rule_that_cannot_be_evaluated_has_not_passed() -> None:
    charter = compiled((RULE, MORE))
    verdicts = {verdict.rule: verdict for verdict in verify(charter, case(charter), decision(amount=5))}
    assert not verdicts["within"].passed
    assert "there is no 'amount'" in verdicts["within"].reason
    broken = case(charter, event().model_copy(update={"data": "not JSON"}))
    assert not any(verdict.passed for verdict in verify(charter, broken, decision(amount=5)))


def test_parameters_of_a_wrong_type_do_not_pass() -> None:
    charter = compiled()
    for amount in ("1", None, [1], {"x": 1}, float("nan")):
        assert [verdict.passed for verdict in verify(charter, case(charter), decision(amount=amount))] == [False]
