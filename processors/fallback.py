"""Deciding without a model: by the charter's own rules, or by handing to a person.

`deciding.py` calls it when `rules` are the only provider or the last that is left, and when nobody decides.
"""

from dataclasses import dataclass

from processors.charter.compiled import CompiledCharter, CompiledFallback
from processors.expressions import ExpressionFailed
from processors.replies import MAX_REASONING_CHARACTERS, AgentDecision, problem_with
from processors.scopes import DataInvalid, Scope, event_scope
from processors.templates import TemplateFailed
from schemas.records import Case


@dataclass(frozen=True, slots=True)
class RulesAnswer:
    """`decision` is None when no rule decided; `problems` are the rules that could not be used, and why."""

    decision: AgentDecision | None
    problems: tuple[str, ...]


def answer_by_rules(compiled: CompiledCharter, case: Case) -> RulesAnswer:
    """The first rule that matches and gives right parameters. One that fails on this data is passed over and named."""
    if not compiled.fallback:
        return RulesAnswer(None, ())
    try:
        scope = event_scope(case.event)
    except DataInvalid as error:
        return RulesAnswer(None, (str(error),))
    found: list[str] = []
    for index, rule in enumerate(compiled.fallback):
        try:
            if rule.when is not None and not rule.when.test(scope):
                continue
            decision = _apply(rule, index, scope)
        except (ExpressionFailed, TemplateFailed) as error:
            found.append(f"fallback[{index}]: {error}")
            continue
        wrong = problem_with(compiled, decision)
        if wrong is None:
            return RulesAnswer(decision, tuple(found))
        found.append(f"fallback[{index}]: {wrong}")
    return RulesAnswer(None, tuple(found))


def _apply(rule: CompiledFallback, index: int, scope: Scope) -> AgentDecision:
    reasoning = rule.reasoning(scope) or (f"rule {index + 1}: {rule.when.source}" if rule.when else f"rule {index + 1}")
    return AgentDecision(
        action=rule.policy.action,
        confidence=rule.policy.confidence,
        parameters=rule.parameters(scope),
        reasoning=str(reasoning)[:MAX_REASONING_CHARACTERS],
    )


def hand_over(compiled: CompiledCharter, reason: str) -> AgentDecision:
    """The decision to let a person decide. Confidence 0: nobody is sure of anything.

    Without an action of kind `escalate` it is the action `escalate`, which such a charter does not allow: refused.
    """
    shortened = reason[:MAX_REASONING_CHARACTERS]
    name = compiled.escalation or "escalate"
    parameters: dict[str, str] = {}
    if compiled.escalation and compiled.actions[name].problem_with({}) is not None:
        parameters = {"reason": shortened[:1000]}
    return AgentDecision(action=name, confidence=0.0, parameters=parameters, reasoning=shortened)
