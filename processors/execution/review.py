"""Evaluates the charter's rules and gates again for a decision that was read. Pure.

The decide stage did so before, but anyone with write access to `act` could claim that.
"""

import orjson

from nightdesk.processors import gate
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.execution.state import ExecutionState
from nightdesk.processors.provenance import Forged, case_sha256
from nightdesk.processors.replies import AgentDecision
from nightdesk.processors.verification import verify
from nightdesk.schemas.records import Case, Decision


def review(decision: Decision, compiled: CompiledCharter, *, approved: bool) -> gate.GateResult:
    """The result of the gates, from the charter alone. A vote without a majority in the decide stage still needs
    approval.
    """
    answer = AgentDecision(
        action=decision.action,
        confidence=decision.confidence,
        parameters=orjson.loads(decision.parameters),
        reasoning=decision.reasoning,
    )
    rules = {rule.policy.name for rule in compiled.rules}
    others = tuple(verdict for verdict in decision.verdicts if verdict.rule not in rules)
    verdicts = (*verify(compiled, decision.case, answer), *others)
    gate_result = gate.evaluate(compiled, decision.case, answer, verdicts, approved=approved)
    if gate_result.disposition == "execute" and decision.disposition == "needs_approval" and not approved:
        return gate.GateResult("needs_approval", decision.disposition_reason)
    if gate_result.disposition not in ("refused", "dry_run") and decision.disposition == "dry_run":
        asks = decision.would_need_approval or gate_result.disposition == "needs_approval"
        return gate.GateResult("dry_run", decision.disposition_reason, would_need_approval=asks)
    return gate_result


def check_step_before(case: Case, before: ExecutionState | None) -> None:
    """Check that the case continues from the state in which this stage left it. Raises `Forged`."""
    if case.step == 0:
        return
    if before is None or (before.payload_sha256 is not None and before.next_sha256 != case_sha256(case)):
        raise Forged(f"step {case.step} does not follow from what was done in step {case.step - 1}")
