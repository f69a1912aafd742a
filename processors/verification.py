"""Evaluates the charter's rules for a decision, after the model and again before it is executed.

`gate.py` determines what follows from a rule that did not pass.
"""

from nightdesk.processors.charter.compiled import CompiledCharter, CompiledRule
from nightdesk.processors.expressions import ExpressionFailed
from nightdesk.processors.replies import AgentDecision
from nightdesk.processors.scopes import DataInvalid, Scope, case_scope, decision_values
from nightdesk.schemas.records import Case, Verdict


def verify(compiled: CompiledCharter, case: Case, decision: AgentDecision) -> tuple[Verdict, ...]:
    """A verdict for each rule that applies to the decision's action. A rule that cannot be evaluated does not pass."""
    rules = [rule for rule in compiled.rules if not rule.policy.for_ or decision.action in rule.policy.for_]
    if not rules:
        return ()
    try:
        scope = _scope(compiled, case, decision)
    except DataInvalid as error:
        return tuple(Verdict(rule=rule.policy.name, passed=False, reason=str(error)) for rule in rules)
    return tuple(_judge(rule, scope) for rule in rules)


def _scope(compiled: CompiledCharter, case: Case, decision: AgentDecision) -> Scope:
    action = compiled.actions.get(decision.action)
    return case_scope(case).having(
        decision=decision_values(
            decision.action,
            action.policy.kind if action else "",
            decision.confidence,
            decision.parameters,
            decision.reasoning,
        )
    )


def _judge(rule: CompiledRule, scope: Scope) -> Verdict:
    try:
        passed = rule.require.test(scope)
    except ExpressionFailed as error:
        return Verdict(rule=rule.policy.name, passed=False, reason=f"could not be evaluated: {error}")
    reason = "" if passed else rule.policy.message or f"is not true: {rule.policy.require}"
    return Verdict(rule=rule.policy.name, passed=passed, reason=reason)
