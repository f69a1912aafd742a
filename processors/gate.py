"""What is made of a decision: execute it, ask a person, only say it, or refuse it.

`deciding.py` calls `dispose` after the rules, and the act stage again before it acts. The strictest answer wins:
refuse, then escalate, then ask. A dry run never acts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from processors.charter.compiled import CompiledAction, CompiledCharter
from processors.charter.quantities import parse_duration
from processors.replies import AgentDecision
from schemas.records import Case, Disposition, Verdict

Answer = Literal["refuse", "escalate", "needs_approval"]
Objection = tuple[Answer, str]
_STRICTEST_FIRST: tuple[Answer, ...] = ("refuse", "escalate", "needs_approval")


@dataclass(frozen=True, slots=True)
class Disposed:
    """The gates' answer. With `escalate` the decision is not to be done as it is: the case goes to a person instead."""

    disposition: Disposition
    reason: str = ""
    escalate: bool = False


def dispose(
    compiled: CompiledCharter,
    case: Case,
    decision: AgentDecision,
    verdicts: Sequence[Verdict],
    *,
    approved: bool = False,
) -> Disposed:
    """The disposition. `approved` says that a person has agreed, which answers calls for approval and nothing else."""
    objections = list(_objections(compiled, case, decision, verdicts))
    for answer in _STRICTEST_FIRST:
        reasons = "; ".join(reason for given, reason in objections if given == answer)
        if reasons and not (approved and answer == "needs_approval"):
            return _objected(compiled, answer, reasons)
    if compiled.charter.mode != "live":
        return Disposed("dry_run", "the charter's mode is dry_run")
    return Disposed("execute")


def _objected(compiled: CompiledCharter, answer: Answer, reasons: str) -> Disposed:
    if answer == "refuse":
        return Disposed("refused", reasons)
    if answer == "escalate":
        return Disposed("refused", reasons, escalate=True)
    if compiled.charter.mode != "live":
        return Disposed("dry_run", f"live it would need approval: {reasons}")
    return Disposed("needs_approval", reasons)


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
    hands_over = action.policy.kind == "escalate"
    of_limits = (*_of_budget(compiled, case, action), *_of_bounds(compiled, case, action, decision))
    for objection in (*_of_rules(compiled, verdicts, hands_over=hands_over), *of_limits):
        # Who hands over to a person already does what the objection would lead to.
        if not (hands_over and objection[0] == "escalate"):
            yield objection
    yield from _of_confidence(action, decision)


def _of_rules(compiled: CompiledCharter, verdicts: Sequence[Verdict], *, hands_over: bool) -> Iterator[Objection]:
    """A verdict that no rule of the charter gave (the votes') asks a person; handing over does that already."""
    answers: dict[str, Answer] = {rule.policy.name: rule.policy.otherwise for rule in compiled.rules}
    for verdict in verdicts:
        if not verdict.passed and not (hands_over and verdict.rule not in answers):
            yield answers.get(verdict.rule, "needs_approval"), f"{verdict.rule}: {verdict.reason}"


def _of_budget(compiled: CompiledCharter, case: Case, action: CompiledAction) -> Iterator[Objection]:
    """The answer has been paid already, so there is nothing to wait for: a person has the case, or nobody."""
    if action.name in case.closed_actions:
        answer: Answer = "refuse" if compiled.charter.budget.when_spent == "refuse" else "escalate"
        yield answer, f"the day's money for {action.name} is spent, or held for cases that are open"


def _of_bounds(
    compiled: CompiledCharter, case: Case, action: CompiledAction, decision: AgentDecision
) -> Iterator[Objection]:
    bounds, spent = compiled.charter.bounds, case.spent
    if spent.actions + 1 > bounds.actions:
        yield "escalate", f"the case has reached its bound of {bounds.actions} actions"
    if spent.external_calls + action.external_calls > bounds.external_calls:
        yield "escalate", f"the case would pass its bound of {bounds.external_calls} external calls"
    at_most = action.policy.longest_wait_s
    if action.policy.kind == "wait" and (seconds := wait_seconds(decision)) > at_most:
        yield "escalate", f"a wait of {seconds} s is longer than the {at_most} s that the charter allows"


def wait_seconds(decision: AgentDecision) -> int:
    """How long a decision of kind `wait` wants to wait (`parameters.after`); 0 when it does not say."""
    try:
        return parse_duration(str(decision.parameters.get("after", "")))
    except ValueError:
        return 0


def _of_confidence(action: CompiledAction, decision: AgentDecision) -> Iterator[Objection]:
    """Handing over needs no confidence, unless the charter asks for approval of it."""
    policy = action.policy
    if policy.approval == "always":
        yield "needs_approval", f"{action.name} always needs approval"
    elif policy.kind != "escalate" and decision.confidence < action.threshold:
        answer: Answer = "escalate" if policy.approval == "never" else "needs_approval"
        given, needed = decision.confidence, action.threshold
        yield answer, f"confidence {given:.2f} is under the {needed:.2f} that {action.name} needs"
