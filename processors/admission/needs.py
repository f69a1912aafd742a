"""Computes from the charter what a step needs before it may start, and its rank in the queue."""

from typing import NamedTuple

from nightdesk.processors.admission.steps import Needs
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.charter.model import Charter
from nightdesk.processors.expressions import ExpressionFailed
from nightdesk.processors.ledger.admission import begins
from nightdesk.processors.ledger.reserving import AGENT_RATE, NOT_RESERVED, policy_for
from nightdesk.processors.scopes import DataInvalid, event_scope
from nightdesk.schemas.records import Case

# The resource that every step needs, and the one that every step needs that may ask a model.
AGENT = "agent"
MODEL = "model"
# Urgent cases go before all others. The others are ordered by their priority, which is at most this.
PRIORITY_AT_MOST = 1_000_000
URGENT_RANK = -2 * PRIORITY_AT_MOST


def needs_of(charter: Charter, case: Case, amount_microusd: int, *, is_urgent: bool = False) -> Needs:
    """The needs of a step whose worst price is `amount_microusd`. A model that costs nothing can be
    unavailable, too.
    """
    policy = policy_for(charter, case.event.type, begins=begins(case), is_urgent=is_urgent)
    money = tuple(policy.caps_microusd) if amount_microusd else ()
    asks = charter.decide.asked and not case.escalate_because
    model = (MODEL,) if asks and case.spent.model_calls < charter.bounds.model_calls else ()
    rate = () if policy.rate is None else (AGENT_RATE,)
    kept = (NOT_RESERVED,) if amount_microusd and policy.reserve_microusd else ()
    resources = frozenset({AGENT, charter_resource(case.charter_version), *model, *money, *rate, *kept})
    return Needs(resources, ends_when_spent=charter.budget.when_spent != "defer")


class Ranked(NamedTuple):
    """The rank of a case: the smaller goes first, and 0 is the usual rank. `problem` tells people which expression of
    the charter failed.
    """

    rank: int
    problem: str = ""


def rank_of(compiled: CompiledCharter, case: Case) -> Ranked:
    """The case's rank. An expression that fails for this event counts as false or as 0."""
    if compiled.urgent is None and compiled.priority is None:
        return Ranked(0)
    problems = []
    priority, urgent = 0, False
    try:
        priority = 0 if compiled.priority is None else compiled.priority.number(event_scope(case.event))
    except (DataInvalid, ExpressionFailed) as error:
        problems.append(f"queue.priority failed: {error}")
    try:
        urgent = compiled.urgent is not None and compiled.urgent.test(event_scope(case.event))
    except (DataInvalid, ExpressionFailed) as error:
        problems.append(f"budget.urgent failed: {error}")
    rank = -max(-PRIORITY_AT_MOST, min(priority, PRIORITY_AT_MOST))
    return Ranked(rank + URGENT_RANK if urgent else rank, "; ".join(problems))


def is_urgent(rank: int) -> bool:
    """Whether a rank is that of an urgent case."""
    return rank <= URGENT_RANK + PRIORITY_AT_MOST


def charter_resource(version: str) -> str:
    """The resource that a step needs while this process has not yet read its charter."""
    return f"charter:{version}"
