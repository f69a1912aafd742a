"""Decisions that give a case to a person, because nobody could decide or because an action failed. Pure."""

from collections.abc import Mapping
from typing import Any

from nightdesk.processors.charter.answers import parameters_schema
from nightdesk.processors.charter.compiled import CompiledAction, CompiledCharter
from nightdesk.processors.charter.model import Charter
from nightdesk.processors.replies import MAX_REASONING_CHARACTERS, AgentDecision
from nightdesk.schemas.records import Case, Decision, PastStep

REASON_CHARACTERS_AT_MOST = 1000
FAILED = frozenset({"failed", "unknown"})


def escalate(compiled: CompiledCharter, reason: str) -> AgentDecision:
    """The decision to let a person decide, with confidence 0.

    Without an action of kind `escalate` it is the action `escalate`, which the charter does not allow: the gate refuses
    it, and the case becomes a dead letter (`lacks_escalation`).
    """
    return _escalating(compiled, compiled.escalation, reason, {})


def lacks_escalation(decision: Decision, compiled: CompiledCharter) -> bool:
    """Whether a person should get the case but its charter has no escalation. No provider can choose an action that the
    charter does not name, so no other decision looks like this.
    """
    return decision.kind == "escalate" and decision.action not in compiled.actions


def escalate_case(compiled: CompiledCharter, case: Case) -> AgentDecision:
    """The decision to give a case to a person because of its `escalate_because`, with confidence 0.

    After a failed action, the parameters say how far it got. After a failed escalation, the decision is the action that
    its `otherwise` names; `playbook.failure` continues a case only if there is one.
    """
    last = case.history[-1] if case.history and _has_failed(case.history[-1]) else None
    if last is None:
        return escalate(compiled, case.escalate_because)
    name = compiled.charter.actions[last.action].otherwise if last.kind == "escalate" else compiled.escalation
    failed = [past for past in case.history if _has_failed(past) and past.kind != "escalate"] or [last]
    return _escalating(compiled, name, case.escalate_because, _facts(failed[-1], compiled.charter))


def _has_failed(past: PastStep) -> bool:
    return any(outcome.status in FAILED for outcome in past.outcomes)


def _facts(past: PastStep, charter: Charter) -> dict[str, Any]:
    """What a person should know about a failed action: the handlers of its steps, grouped by outcome. Steps that only
    read are left out.
    """
    statuses = ("failed", "unknown", "undo_failed")
    became = {name: [outcome.handler for outcome in past.outcomes if outcome.status == name] for name in statuses}
    undone = {outcome.position for outcome in past.outcomes if outcome.status == "undone"}
    wrote = [o for o in past.outcomes if o.status == "done" and not charter.handlers[o.handler].read_only]
    done = [outcome.handler for outcome in wrote if outcome.position not in undone]
    taken_back = [outcome.handler for outcome in wrote if outcome.position in undone]
    return {"action": past.action, "done": done, "undone": taken_back, **became}


def _escalating(compiled: CompiledCharter, name: str | None, reason: str, facts: Mapping[str, Any]) -> AgentDecision:
    shortened = reason[:MAX_REASONING_CHARACTERS]
    action = compiled.actions.get(name or "")
    parameters = {} if action is None else _parameters(action, shortened, facts)
    return AgentDecision(action=name or "escalate", confidence=0.0, parameters=parameters, reasoning=shortened)


def _parameters(action: CompiledAction, reason: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """As much as the action's schema accepts: the reason and the facts, only the reason, or nothing."""
    named = parameters_schema(action.policy).get("properties", {})
    alone = {"reason": reason[: _longest_reason(named)]}
    everything = {name: value for name, value in {**facts, **alone}.items() if name in named}
    accepted = (given for given in (everything, alone, {}) if action.problem_with(given) is None)
    return next(accepted, alone)


def _longest_reason(named: Mapping[str, Any]) -> int:
    schema = named.get("reason")
    longest = schema.get("maxLength") if isinstance(schema, dict) else None
    return min(longest, REASON_CHARACTERS_AT_MOST) if isinstance(longest, int) else REASON_CHARACTERS_AT_MOST
