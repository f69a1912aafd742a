"""Decides about a step that no model answered: the rules decide it, a person gets the case, or it is given back.

A temporary cause (a provider that is away, an order to stop) makes the step wait, if its charter allows it, and a
person gets the case after `decide.wait_at_most`. With a lasting cause the rules or a person decide at once.
`deciding.py` calls `without_answer` after its last question.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.conclusion import SourcedAnswer, Tally
from nightdesk.processors.escalation import escalate
from nightdesk.processors.fallback import answer_by_rules
from nightdesk.processors.model import ModelUnavailable
from nightdesk.schemas.records import NO_PROVIDER, Case

Cause = Literal["unavailable", "paused"]


@dataclass(frozen=True, slots=True)
class GivenBack:
    """The step cannot be decided now. `reason` tells people what it waits for, since when and until when at most;
    `cost_microusd` is all that it may have cost so far.
    """

    cause: Cause
    reason: str
    cost_microusd: int


def without_answer(case: Case, compiled: CompiledCharter, now: datetime, tally: Tally) -> SourcedAnswer | GivenBack:
    """The end of a step whose last question has no usable answer."""
    unavailable = tally.unavailable
    if tally.bound:
        return escalated(compiled, tally.bound)
    if unavailable is None:
        return by_rules(case, compiled, tally)
    if unavailable.is_refused:
        # Rules do not know why a model declined to answer, so a person should see the case.
        return escalated(compiled, f"the model refused to answer: {unavailable.why()}")
    back = given_back(case, compiled, now, tally)
    if back is not None:
        return back
    if not unavailable.retryable or compiled.charter.decide.unavailable_policy == "rules":
        return by_rules(case, compiled, tally)
    return escalated(compiled, _no_longer(case, now, unavailable))


def given_back(case: Case, compiled: CompiledCharter, now: datetime, tally: Tally) -> GivenBack | None:
    """The step to give back if it waits for an order or for a model; None if it does not wait."""
    unavailable = tally.unavailable
    if unavailable is None or not unavailable.retryable:
        return None
    if unavailable.is_stopped:
        reason = f"waits until an order is taken back: {unavailable.last.detail}"
        return GivenBack("paused", reason, tally.cost_of(case))
    since = case.waits_since or now
    until = since + timedelta(seconds=compiled.charter.decide.longest_wait_s)
    if compiled.charter.decide.unavailable_policy != "wait" or now >= until:
        return None
    # Without times: other steps wait for the same model, each since another time.
    return GivenBack("unavailable", f"waits for a model: {unavailable.why()}", tally.cost_of(case))


def _no_longer(case: Case, now: datetime, unavailable: ModelUnavailable) -> str:
    if case.waits_since is None:
        return f"no model is available: {unavailable.why()}"
    return f"no model was available for {int((now - case.waits_since).total_seconds())} s: {unavailable.why()}"


def by_rules(case: Case, compiled: CompiledCharter, tally: Tally) -> SourcedAnswer:
    """The answer of the charter's rules; a person gets the case if they give none."""
    if "rules" not in compiled.charter.decide.provider:
        return escalated(
            compiled, _with_why(tally, "no model answered, and the charter does not list rules as a provider")
        )
    answer = answer_by_rules(compiled, case)
    for problem in answer.problems:
        tally.skipped("rules", "rule_failed", problem)
    if answer.decision is None:
        why = _with_why(tally, "no model answered and no rule matched")
        tally.skipped("rules", "no_rule_matched")
        return escalated(compiled, why)
    return SourcedAnswer(answer.decision, "rules")


def _with_why(tally: Tally, what: str) -> str:
    return what if tally.unavailable is None else f"{what}: {tally.unavailable.why()}"


def escalated(compiled: CompiledCharter, reason: str) -> SourcedAnswer:
    """A person gets the case, with the reason."""
    return SourcedAnswer(escalate(compiled, reason), NO_PROVIDER)
