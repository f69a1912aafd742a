"""Decides without a model, with the charter's own rules."""

from dataclasses import dataclass

from nightdesk.processors.charter.compiled import CompiledCharter, CompiledFallback
from nightdesk.processors.expressions import ExpressionFailed
from nightdesk.processors.replies import MAX_REASONING_CHARACTERS, AgentDecision, problem_with
from nightdesk.processors.scopes import DataInvalid, Scope, case_scope
from nightdesk.processors.templates import TemplateFailed
from nightdesk.schemas.records import Case


@dataclass(frozen=True, slots=True)
class RulesAnswer:
    """`decision` is None if no rule decided; `problems` are the rules that failed, and why."""

    decision: AgentDecision | None
    problems: tuple[str, ...]


def answer_by_rules(compiled: CompiledCharter, case: Case) -> RulesAnswer:
    """The first rule that matches and gives valid parameters. A rule that fails on this data is
    skipped and reported.
    """
    if not compiled.fallback:
        return RulesAnswer(None, ())
    try:
        scope = case_scope(case)
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
