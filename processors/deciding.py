"""Decides one step of a case: a generator that yields questions to models and receives their replies.

The decide stage drives it: `question = next(flow)`, then `flow.send(reply)` until it returns the `Decision`, or gives
the step back because no model may or can be asked now. The stage records the replies, so a replay sends the same
replies to today's code, and a step that comes again buys none of them again.
"""

from collections.abc import Generator
from datetime import datetime

from nightdesk.processors import prompts, voting
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.conclusion import SourcedAnswer, Tally, conclude
from nightdesk.processors.escalation import escalate_case
from nightdesk.processors.model import ModelReply, ModelRequest, ModelUnavailable
from nightdesk.processors.prices import UnknownPrice, worst_ask_price_microusd
from nightdesk.processors.replies import AgentDecision, Malformed, parse
from nightdesk.processors.unanswered import GivenBack, by_rules, given_back, without_answer
from nightdesk.processors.voting import Count
from nightdesk.schemas.money import money
from nightdesk.schemas.records import NO_PROVIDER, Case, Decision, Fallback, Record, Verdict

TRIES_PER_ANSWER = 2


class AskModel(Record):
    """Ask `providers` in turn. `attempt` counts the step's questions from 0; with case and step it identifies the call.

    `left_microusd` is what may be spent on it if it has to be repeated because a reply was lost.
    """

    request: ModelRequest
    providers: tuple[str, ...]
    attempt: int
    left_microusd: int


DecisionFlow = Generator[AskModel, ModelReply | ModelUnavailable, Decision | GivenBack]
_Asking = Generator[AskModel, ModelReply | ModelUnavailable, AgentDecision | None]


def decide(case: Case, compiled: CompiledCharter, now: datetime) -> DecisionFlow:
    """Decide one step. It ends with a `Decision` by a model, by the rules or by nobody, or with the step given back.

    "By nobody" is an escalation to a person (provider `none`, confidence 0). The decision's case includes what the step
    has used: `spent.model_calls` and `spent.cost_microusd` count it. `decided_at` is `now` plus the time of the model
    calls.
    """
    tally = Tally()
    answer: SourcedAnswer | GivenBack | None
    if case.escalate_because:
        answer = SourcedAnswer(escalate_case(compiled, case), NO_PROVIDER)
    elif not compiled.charter.decide.asked:
        answer = by_rules(case, compiled, tally)
    elif case.rules_because:
        tally.skipped(compiled.charter.decide.asked[0], "budget", case.rules_because)
        answer = by_rules(case, compiled, tally)
    else:
        answer = yield from _by_models(case, compiled, now, tally)
        if answer is None:
            answer = without_answer(case, compiled, now, tally)
    return answer if isinstance(answer, GivenBack) else conclude(case, compiled, now, answer, tally)


def _by_models(
    case: Case, compiled: CompiledCharter, now: datetime, tally: Tally
) -> Generator[AskModel, ModelReply | ModelUnavailable, SourcedAnswer | None]:
    request = prompts.build(compiled, case)
    tally.first_request = request
    first = yield from _ask(case, compiled, now, request, tally)
    if first is None:
        return None
    last = tally.replies[-1]
    votes = compiled.charter.decide.votes
    if votes is None or not voting.applies(votes, first.action):
        return SourcedAnswer(first, last.provider, last.model)
    ballots = [first]
    while not (standing := voting.count(votes, ballots)).is_over:
        ballot = yield from _ask(case, compiled, now, request, tally)
        if ballot is None and given_back(case, compiled, now, tally) is not None:
            return None
        if ballot is None:
            break
        ballots.append(ballot)
    return SourcedAnswer(standing.leader, last.provider, last.model, (_verdict_of_votes(standing, votes.agree),))


def _verdict_of_votes(standing: Count, needed: int) -> Verdict:
    reason = f"{standing.agreeing} of {standing.cast} for {standing.leader.action}, {needed} needed"
    return Verdict(rule="votes", passed=standing.is_agreed, reason=reason)


def _ask(case: Case, compiled: CompiledCharter, now: datetime, request: ModelRequest, tally: Tally) -> _Asking:
    """One usable answer, with one more question after an unusable one; None if there is none."""
    providers = compiled.charter.decide.asked
    for _ in range(TRIES_PER_ANSWER):
        if (bound := _bound_reached(case, compiled, now, request, tally)) is not None:
            tally.fallbacks.append(bound)
            return None
        left = _held_microusd(case, compiled) - case.spent.cost_microusd - tally.cost_microusd
        question = AskModel(request=request, providers=providers, attempt=tally.attempts, left_microusd=left)
        tally.attempts += 1
        reply = yield question
        tally.asked_ms += reply.asked_ms
        if isinstance(reply, ModelUnavailable):
            tally.calls += reply.called
            tally.fallbacks.extend(reply.reasons)
            tally.unanswered_cost_microusd += reply.unanswered_cost_microusd
            tally.unavailable = reply
            return None
        tally.calls += 1
        tally.replies.append(reply)
        tally.fallbacks.extend(reply.fallbacks)
        decision = parse(compiled, reply)
        if not isinstance(decision, Malformed):
            return decision
        tally.skipped(reply.provider, "malformed", decision.reason, called=True)
        request = prompts.again(request, decision.reason)
    return None


def _bound_reached(
    case: Case, compiled: CompiledCharter, now: datetime, request: ModelRequest, tally: Tally
) -> Fallback | None:
    """Why no further question may be asked: the case's bound on calls, its money, or an unknown price."""
    charter = compiled.charter
    provider = charter.decide.asked[0]
    if case.spent.model_calls + tally.calls >= charter.bounds.model_calls:
        detail = f"the case has used its bound of {charter.bounds.model_calls} model calls"
        return Fallback(provider=provider, reason="bound", detail=detail)
    try:
        worst = worst_ask_price_microusd(charter.decide.asked, request, now)
    except UnknownPrice as error:
        return Fallback(provider=provider, reason="unknown_price", detail=str(error))
    spent, held = case.spent.cost_microusd + tally.cost_microusd, _held_microusd(case, compiled)
    if spent + worst > held:
        detail = f"spent {money(spent)}, at worst {money(worst)} more, of the {money(held)} reserved for the case"
        return Fallback(provider=provider, reason="budget", detail=detail)
    return None


def _held_microusd(case: Case, compiled: CompiledCharter) -> int:
    """All that the case may spend. The budget stage reserves no more than the charter allows, but the charter may have
    become stricter since.
    """
    return min(case.reserved_microusd, compiled.charter.budget.per_case_microusd)
