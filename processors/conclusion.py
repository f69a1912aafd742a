"""The questions of a step, their cost, and the `Decision` that results.

`deciding.py` fills the `Tally` while it asks, and calls `conclude` with the answer.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import orjson

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.escalation import escalate
from nightdesk.processors.gate import GateResult, evaluate, has_low_confidence
from nightdesk.processors.model import ModelReply, ModelRequest, ModelUnavailable
from nightdesk.processors.replies import AgentDecision
from nightdesk.processors.verification import verify
from nightdesk.schemas.ids import decision_id
from nightdesk.schemas.records import NO_PROVIDER, Case, Decision, Fallback, Spent, Verdict

MAX_DETAIL_CHARACTERS = 500


@dataclass(slots=True)
class Tally:
    """What the questions of this step have cost and produced so far. `attempts` numbers the questions, and `calls`
    counts those for which a provider was called. `unavailable` is set if the last question had no reply.
    """

    replies: list[ModelReply] = field(default_factory=list)
    fallbacks: list[Fallback] = field(default_factory=list)
    attempts: int = 0
    calls: int = 0
    unanswered_cost_microusd: int = 0
    asked_ms: int = 0
    unavailable: ModelUnavailable | None = None
    first_request: ModelRequest | None = None

    @property
    def cost_microusd(self) -> int:
        return self.unanswered_cost_microusd + sum(reply.total_microusd for reply in self.replies)

    @property
    def bound(self) -> str:
        """The bound that ended the questions, or nothing. At a bound the case stops, so the rules
        do not decide either.
        """
        last = self.fallbacks[-1] if self.fallbacks else None
        return last.detail if last is not None and last.reason == "bound" else ""

    def skipped(self, provider: str, reason: str, detail: str = "", *, called: bool = False) -> None:
        cut = detail[:MAX_DETAIL_CHARACTERS]
        self.fallbacks.append(Fallback(provider=provider, reason=reason, detail=cut, called=called))

    def cost_of(self, case: Case) -> int:
        """The cost of the whole step, including what it may have cost before it was given back."""
        return max(self.cost_microusd, case.returned_microusd)

    def unanswered_of(self, case: Case) -> int:
        """The part of the step's cost that is for calls without an answer."""
        return self.cost_of(case) - sum(reply.cost_microusd for reply in self.replies)


@dataclass(frozen=True, slots=True)
class SourcedAnswer:
    """The answer and its source; `votes` is the verdict of a vote, if there was one."""

    decision: AgentDecision
    provider: str
    model: str | None = None
    votes: tuple[Verdict, ...] = ()


def conclude(case: Case, compiled: CompiledCharter, now: datetime, answer: SourcedAnswer, tally: Tally) -> Decision:
    """Evaluate rules and gates. If they turn the answer down and a person should get the case, the decision becomes an
    escalation. If the charter has no escalation, it is refused, and the decide stage makes the case a dead letter.
    """
    decision = answer.decision
    verdicts = (*verify(compiled, case, decision), *answer.votes)
    gate_result = evaluate(compiled, case, decision, verdicts)
    if gate_result.escalate:
        decision = escalate(compiled, f"{gate_result.reason}. It was: {decision.action}, because: {decision.reasoning}")
        gate_result = _reasoned(evaluate(compiled, case, decision, ()), gate_result.reason)
    return _record(case, compiled, now, answer, tally, decision, verdicts, gate_result)


def _reasoned(gate_result: GateResult, reason: str) -> GateResult:
    return replace(gate_result, reason=gate_result.reason or reason)


def _record(
    case: Case,
    compiled: CompiledCharter,
    now: datetime,
    answer: SourcedAnswer,
    tally: Tally,
    decision: AgentDecision,
    verdicts: tuple[Verdict, ...],
    gate_result: GateResult,
) -> Decision:
    latency_ms = sum(reply.latency_ms for reply in tally.replies)
    action = compiled.actions.get(decision.action)
    usages = [reply.usage for reply in tally.replies]
    return Decision(
        decision_id=decision_id(case.case_id, case.step),
        case=_charged(case, tally),
        action=decision.action,
        kind=action.policy.kind if action else "escalate",
        confidence=decision.confidence,
        parameters=orjson.dumps(decision.parameters).decode(),
        reasoning=decision.reasoning,
        provider=answer.provider,
        model=answer.model,
        prompt_sha256=tally.first_request.digest() if tally.first_request else None,
        disposition=gate_result.disposition,
        disposition_reason=gate_result.reason,
        verdicts=verdicts,
        fallbacks=tuple(tally.fallbacks),
        input_tokens=sum(use.input_tokens + use.cache_read_tokens + use.cache_write_tokens for use in usages),
        output_tokens=sum(use.output_tokens for use in usages),
        cost_microusd=tally.cost_of(case),
        latency_ms=latency_ms,
        decided_at=now + timedelta(milliseconds=latency_ms),
        low_confidence=answer.provider != NO_PROVIDER and has_low_confidence(compiled, answer.decision),
        unanswered_microusd=tally.unanswered_of(case),
        would_need_approval=gate_result.would_need_approval,
    )


def _charged(case: Case, tally: Tally) -> Case:
    """The case with what this step has used; unchanged if no model was ever called."""
    if tally.calls == 0 and not case.returned_microusd:
        return case
    spent = Spent(
        actions=case.spent.actions,
        external_calls=case.spent.external_calls,
        model_calls=case.spent.model_calls + tally.calls,
        cost_microusd=case.spent.cost_microusd + tally.cost_of(case),
        worked_ms=case.spent.worked_ms + tally.asked_ms,
    )
    return case.model_copy(update={"spent": spent})
