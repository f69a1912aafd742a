"""One step of a case, from the question to the decision: a conversation that yields questions and receives replies.

The decide stage drives it: `question = next(flow)`, then `flow.send(reply)` until it returns the `Decision`. The stage
records the replies, so that replay is feeding the same replies to today's code.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson

from processors import prompts, voting
from processors.charter.compiled import CompiledCharter
from processors.fallback import answer_by_rules, hand_over
from processors.gate import Disposed, dispose
from processors.model import ModelReply, ModelRequest
from processors.prices import UnknownPrice, worst_ask_price_microusd
from processors.replies import AgentDecision, Malformed, parse
from processors.verification import verify
from processors.voting import Count
from schemas.ids import decision_id
from schemas.records import Case, Decision, Fallback, Record, Spent, Verdict

NOBODY = "none"
TRIES_PER_ANSWER = 2
MAX_DETAIL_CHARACTERS = 500


class AskModel(Record):
    """Ask `providers` in turn. `attempt` counts the step's questions from 0; with case and step it names the call.

    `left_microusd` is what may be spent on it, were it asked again because an answer was lost.
    """

    request: ModelRequest
    providers: tuple[str, ...]
    attempt: int
    left_microusd: int


class ModelUnavailable(Record):
    """No provider answered, for `reasons`; `maybe_paid_microusd` is what they may have cost at worst."""

    reasons: tuple[Fallback, ...]
    maybe_paid_microusd: int = 0


Conversation = Generator[AskModel, ModelReply | ModelUnavailable, Decision]
_Asking = Generator[AskModel, ModelReply | ModelUnavailable, AgentDecision | None]


@dataclass(slots=True)
class _Tally:
    """What the conversation has come to so far."""

    replies: list[ModelReply] = field(default_factory=list)
    fallbacks: list[Fallback] = field(default_factory=list)
    attempts: int = 0
    maybe_paid_microusd: int = 0
    first_request: ModelRequest | None = None

    @property
    def cost_microusd(self) -> int:
        return self.maybe_paid_microusd + sum(reply.total_microusd for reply in self.replies)

    @property
    def bound(self) -> str:
        """The bound at which the asking ended, or nothing. The rules do not go on where a case has to stop."""
        last = self.fallbacks[-1] if self.fallbacks else None
        return last.detail if last is not None and last.reason == "bound" else ""

    def passed_over(self, provider: str, reason: str, detail: str = "") -> None:
        self.fallbacks.append(Fallback(provider=provider, reason=reason, detail=detail[:MAX_DETAIL_CHARACTERS]))


@dataclass(frozen=True, slots=True)
class _Answer:
    """Who answered what; `votes` is the verdict of a vote, when there was one."""

    decision: AgentDecision
    provider: str
    model: str | None = None
    votes: tuple[Verdict, ...] = ()


def decide(case: Case, compiled: CompiledCharter, now: datetime, recalled: Sequence[str] = ()) -> Conversation:
    """The conversation of one step. It always ends with a Decision: by a model, by the rules, or by nobody.

    By nobody means handed to a person (provider `none`, confidence 0). The decision's case carries what the step has
    used: `spent.model_calls` and `spent.cost_microusd` count it. `decided_at` is `now` and the time the models took.
    """
    tally = _Tally()
    answer = None
    if case.escalate_because:
        answer = _handed_over(compiled, case.escalate_because)
    elif compiled.charter.decide.asked:
        answer = yield from _by_models(case, compiled, now, recalled, tally)
        if answer is None and tally.bound:
            answer = _handed_over(compiled, tally.bound)
    if answer is None:
        answer = _by_rules(case, compiled, tally)
    return _concluded(case, compiled, now, answer, tally)


def _by_models(
    case: Case, compiled: CompiledCharter, now: datetime, recalled: Sequence[str], tally: _Tally
) -> Generator[AskModel, ModelReply | ModelUnavailable, _Answer | None]:
    request = prompts.build(compiled, case, recalled)
    tally.first_request = request
    first = yield from _ask(case, compiled, now, request, tally)
    if first is None:
        return None
    last = tally.replies[-1]
    votes = compiled.charter.decide.votes
    if votes is None or not voting.applies(votes, first.action):
        return _Answer(first, last.provider, last.model)
    ballots = [first]
    while not (standing := voting.count(votes, ballots)).is_over:
        ballot = yield from _ask(case, compiled, now, request, tally)
        if ballot is None:
            break
        ballots.append(ballot)
    return _Answer(standing.leader, last.provider, last.model, (_verdict_of_votes(standing, votes.agree),))


def _verdict_of_votes(standing: Count, needed: int) -> Verdict:
    said = f"{standing.agreeing} of {standing.cast} for {standing.leader.action}, {needed} needed"
    return Verdict(rule="votes", passed=standing.is_agreed, reason=said)


def _ask(case: Case, compiled: CompiledCharter, now: datetime, request: ModelRequest, tally: _Tally) -> _Asking:
    """One usable answer, asking once more after one that is not; None when there is none to be had."""
    providers = compiled.charter.decide.asked
    for _ in range(TRIES_PER_ANSWER):
        if (bound := _bound_reached(case, compiled, now, request, tally)) is not None:
            tally.fallbacks.append(bound)
            return None
        left = case.reserved_microusd - case.spent.cost_microusd - tally.cost_microusd
        question = AskModel(request=request, providers=providers, attempt=tally.attempts, left_microusd=left)
        tally.attempts += 1
        reply = yield question
        if isinstance(reply, ModelUnavailable):
            tally.fallbacks.extend(reply.reasons)
            tally.maybe_paid_microusd += reply.maybe_paid_microusd
            return None
        tally.replies.append(reply)
        tally.fallbacks.extend(reply.fallbacks)
        decision = parse(compiled, reply)
        if not isinstance(decision, Malformed):
            return decision
        tally.passed_over(reply.provider, "malformed", decision.reason)
        request = prompts.again(request, decision.reason)
    return None


def _bound_reached(
    case: Case, compiled: CompiledCharter, now: datetime, request: ModelRequest, tally: _Tally
) -> Fallback | None:
    """Why no further question may be asked: the case's bound on calls, its money, or a price that nobody knows."""
    charter = compiled.charter
    provider = charter.decide.asked[0]
    if case.spent.model_calls + tally.attempts >= charter.bounds.model_calls:
        detail = f"the case has reached its bound of {charter.bounds.model_calls} model calls"
        return Fallback(provider=provider, reason="bound", detail=detail)
    try:
        worst = worst_ask_price_microusd(charter.decide.asked, request, now)
    except UnknownPrice as error:
        return Fallback(provider=provider, reason="unknown_price", detail=str(error))
    # What was held for the case is all that it may spend: the budget stage never held more than the charter allows.
    spent, held = case.spent.cost_microusd + tally.cost_microusd, case.reserved_microusd
    if spent + worst > held:
        detail = f"spent {spent}, at worst {worst} more, of the {held} micro-dollars held for the case"
        return Fallback(provider=provider, reason="budget", detail=detail)
    return None


def _by_rules(case: Case, compiled: CompiledCharter, tally: _Tally) -> _Answer:
    if "rules" not in compiled.charter.decide.provider:
        return _handed_over(compiled, "no model answered, and the charter lets no rules decide")
    answer = answer_by_rules(compiled, case)
    for problem in answer.problems:
        tally.passed_over("rules", "rule_failed", problem)
    if answer.decision is None:
        tally.passed_over("rules", "no_rule_matched")
        return _handed_over(compiled, "no model answered and no rule matched")
    return _Answer(answer.decision, "rules")


def _handed_over(compiled: CompiledCharter, reason: str) -> _Answer:
    return _Answer(hand_over(compiled, reason), NOBODY)


def _concluded(case: Case, compiled: CompiledCharter, now: datetime, answer: _Answer, tally: _Tally) -> Decision:
    """Rules and gates over the answer. What they turn down towards a person becomes the action that hands over."""
    decision = answer.decision
    verdicts = (*verify(compiled, case, decision), *answer.votes)
    disposed = dispose(compiled, case, decision, verdicts)
    if disposed.escalate and compiled.escalation is not None:
        decision = hand_over(compiled, f"{disposed.reason}. It was: {decision.action}, because: {decision.reasoning}")
        disposed = _reasoned(dispose(compiled, case, decision, ()), disposed.reason)
    return _record(case, compiled, now, answer, tally, decision, verdicts, disposed)


def _reasoned(disposed: Disposed, reason: str) -> Disposed:
    return Disposed(disposed.disposition, disposed.reason or reason, disposed.escalate)


def _record(
    case: Case,
    compiled: CompiledCharter,
    now: datetime,
    answer: _Answer,
    tally: _Tally,
    decision: AgentDecision,
    verdicts: tuple[Verdict, ...],
    disposed: Disposed,
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
        disposition=disposed.disposition,
        disposition_reason=disposed.reason,
        verdicts=verdicts,
        fallbacks=tuple(tally.fallbacks),
        input_tokens=sum(use.input_tokens + use.cache_read_tokens + use.cache_write_tokens for use in usages),
        output_tokens=sum(use.output_tokens for use in usages),
        cost_microusd=tally.cost_microusd,
        latency_ms=latency_ms,
        decided_at=now + timedelta(milliseconds=latency_ms),
    )


def _charged(case: Case, tally: _Tally) -> Case:
    """The case with what this step has used; the same one when no model was asked."""
    if tally.attempts == 0:
        return case
    spent = Spent(
        actions=case.spent.actions,
        external_calls=case.spent.external_calls,
        model_calls=case.spent.model_calls + tally.attempts,
        cost_microusd=case.spent.cost_microusd + tally.cost_microusd,
    )
    return case.model_copy(update={"spent": spent})
