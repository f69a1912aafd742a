"""Determines the disposition of a decision: execute it, ask a person, rehearse it, or refuse it.

`deciding.py` calls `evaluate` after the rules, and the act stage again before it acts. The strictest result wins:
refuse, then escalate, then ask. A dry run never acts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from nightdesk.processors.charter.compiled import CompiledAction, CompiledCharter
from nightdesk.processors.quantities import parse_duration
from nightdesk.processors.replies import AgentDecision
from nightdesk.schemas.records import Case, Disposition, Verdict

Consequence = Literal["refuse", "escalate", "needs_approval"]
Objection = tuple[Consequence, str]
_STRICTEST_FIRST: tuple[Consequence, ...] = ("refuse", "escalate", "needs_approval")


@dataclass(frozen=True, slots=True)
class GateResult:
    """The result of the gates. With `escalate` the decision is not executed: the case goes to a person instead.
    `would_need_approval`: a dry run of what a person would have to approve in live mode.
    """

    disposition: Disposition
    reason: str = ""
    escalate: bool = False
    would_need_approval: bool = False


def evaluate(
    compiled: CompiledCharter,
    case: Case,
    decision: AgentDecision,
    verdicts: Sequence[Verdict],
    *,
    approved: bool = False,
) -> GateResult:
    """The disposition. `approved` means that a person has agreed, which satisfies a required
    approval and nothing else.
    """
    objections = list(_objections(compiled, case, decision, verdicts))
    for answer in _STRICTEST_FIRST:
        reasons = "; ".join(reason for given, reason in objections if given == answer)
        if reasons and not (approved and answer == "needs_approval"):
            return _objected(compiled, answer, reasons)
    if compiled.charter.mode != "live":
        return GateResult("dry_run", "the charter's mode is dry_run")
    return GateResult("execute")


def _objected(compiled: CompiledCharter, answer: Consequence, reasons: str) -> GateResult:
    if answer == "refuse":
        return GateResult("refused", reasons)
    if answer == "escalate":
        return GateResult("refused", reasons, escalate=True)
    if compiled.charter.mode != "live":
        return GateResult("dry_run", f"in live mode it would need approval: {reasons}", would_need_approval=True)
    return GateResult("needs_approval", reasons)


def _objections(
    compiled: CompiledCharter, case: Case, decision: AgentDecision, verdicts: Sequence[Verdict]
) -> Iterator[Objection]:
    action = compiled.actions.get(decision.action)
    if action is None:
        yield "refuse", f"the charter allows no action {decision.action[:64]!r}"
        return
    wrong = action.problem_with(decision.parameters)
    if wrong is not None:
        yield "refuse", wrong
    escalates = action.policy.kind == "escalate"
    of_limits = (*_of_budget(compiled, case, action), *_of_bounds(compiled, case, action, decision))
    for objection in (*_of_rules(compiled, verdicts, escalates=escalates), *of_limits):
        # The decision escalates already, which is what the objection would lead to.
        if not (escalates and objection[0] == "escalate"):
            yield objection
    yield from _of_confidence(action, decision)


def _of_rules(compiled: CompiledCharter, verdicts: Sequence[Verdict], *, escalates: bool) -> Iterator[Objection]:
    """A verdict that is not from a rule of the charter (a vote) asks a person, unless the decision
    escalates already.
    """
    answers: dict[str, Consequence] = {rule.policy.name: rule.policy.otherwise for rule in compiled.rules}
    for verdict in verdicts:
        if not verdict.passed and not (escalates and verdict.rule not in answers):
            yield answers.get(verdict.rule, "needs_approval"), f"{verdict.rule}: {verdict.reason}"


def _of_budget(compiled: CompiledCharter, case: Case, action: CompiledAction) -> Iterator[Objection]:
    """The model call is already paid, so deferring would save nothing: escalate if the charter has an escalation,
    otherwise refuse.
    """
    if action.name in case.closed_actions:
        answer: Consequence = "refuse" if compiled.charter.budget.when_spent == "refuse" else "escalate"
        yield answer, f"the day's money for {action.name} is spent, or reserved for open cases"


def _of_bounds(
    compiled: CompiledCharter, case: Case, action: CompiledAction, decision: AgentDecision
) -> Iterator[Objection]:
    bounds, spent = compiled.charter.bounds, case.spent
    if spent.actions + 1 > bounds.actions:
        yield "escalate", f"the case has used its bound of {bounds.actions} actions"
    if spent.external_calls + action.external_calls > bounds.external_calls:
        yield "escalate", f"the case would exceed its bound of {bounds.external_calls} external calls"
    at_most = action.policy.longest_wait_s
    if action.policy.kind == "wait" and (seconds := wait_seconds(decision)) > at_most:
        yield "escalate", f"a wait of {seconds} s is longer than the {at_most} s that the charter allows"


def wait_seconds(decision: AgentDecision) -> int:
    """Seconds that a decision of kind `wait` asks to wait (`parameters.after`); 0 if it has none."""
    try:
        return parse_duration(str(decision.parameters.get("after", "")))
    except ValueError:
        return 0


def _of_confidence(action: CompiledAction, decision: AgentDecision) -> Iterator[Objection]:
    """An escalation needs no confidence, unless the charter requires approval for it."""
    policy = action.policy
    if policy.approval == "always":
        yield "needs_approval", f"{action.name} always needs approval"
    elif _lacks_confidence(action, decision):
        answer: Consequence = "escalate" if policy.approval == "never" else "needs_approval"
        given, needed = decision.confidence, action.threshold
        yield answer, f"confidence {given:.2f} is below the {needed:.2f} that {action.name} needs"


def _lacks_confidence(action: CompiledAction, decision: AgentDecision) -> bool:
    return action.policy.kind != "escalate" and decision.confidence < action.threshold


def has_low_confidence(compiled: CompiledCharter, decision: AgentDecision) -> bool:
    """Whether an answer's confidence is below what its action needs. An escalation needs none."""
    action = compiled.actions.get(decision.action)
    return action is not None and _lacks_confidence(action, decision)
