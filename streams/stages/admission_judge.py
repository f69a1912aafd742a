"""Judges whether a step may start now, from its charter, the gates of its agent, and the ledger. Changes nothing."""

from datetime import datetime

from nightdesk.processors.admission import (
    AGENT,
    AgentQueue,
    Ended,
    Needs,
    Shut,
    Started,
    WaitingStep,
    charter_resource,
    is_urgent,
    needs_of,
)
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.ledger import Fact
from nightdesk.processors.ledger.admission import admit_step, end_stale, escalate_step, refuse_step
from nightdesk.processors.ledger.reserving import Withheld, policy_for, reserve, worst_price_microusd
from nightdesk.processors.prices import UnknownPrice
from nightdesk.schemas.records import Case
from nightdesk.streams.control import Control
from nightdesk.streams.stages.accounts import Accounts
from nightdesk.streams.stages.waiting_steps import WaitingSteps

# How often to look for a charter version that this process has not read yet.
CHARTER_RETRY_S = 5.0

Verdict = Shut | Started[Fact] | Ended[Fact]


class AdmissionJudge:
    """Judges the steps of the agents in our partitions."""

    def __init__(self, control: Control, accounts: Accounts, steps: WaitingSteps) -> None:
        self._control = control
        self._accounts = accounts
        self._steps = steps

    def waiting(self, partition: int, agent: AgentQueue, now: datetime, step: WaitingStep) -> Verdict:
        """Judge a step by its price when it came. If it may go on by that price, compute it again."""
        compiled = self._control.known(agent.agent, step.charter_version)
        if compiled is None:
            reason = f"charter {step.charter_version} was not read yet"
            return Shut("charter", charter_resource(step.charter_version), reason, now.timestamp() + CHARTER_RETRY_S)
        shut = agent.shut_for(step.needs, now.timestamp())
        if shut is not None and not step.needs.ends_when_spent:
            return shut
        if step.begins:
            urgent = is_urgent(step.order.rank)
            policy = policy_for(compiled.charter, step.event_type, begins=True, is_urgent=urgent)
            withheld = reserve(self._accounts.of(agent.agent), policy, step.amount_microusd, now)
            if isinstance(withheld, Withheld) and not (withheld.gate == "spent" and step.needs.ends_when_spent):
                return _shut(withheld)
        case = self._steps.row(partition, step.key).case
        return self.case(agent, compiled, case, step.order.rank, now)

    def case(
        self,
        agent: AgentQueue,
        compiled: CompiledCharter,
        case: Case,
        rank: int,
        now: datetime,
        priced: tuple[int, Needs] | None = None,
    ) -> Verdict:
        """Judge a case. `priced` is the step's worst price with what it needs, if they were just computed; a price of 0
        may be that of a model without one.
        """
        if case.escalate_because:  # a person gets it, so no model is asked
            return Ended(escalate_step(case, case.cause, case.escalate_because, now))
        stale = end_stale(compiled.charter, case, now)
        if stale is not None:
            return Ended(stale)
        try:
            amount = (priced and priced[0]) or worst_price_microusd(compiled, case, now)
        except UnknownPrice as error:
            return Ended(refuse_step(case, "unpriced", str(error), now))
        needs = priced[1] if priced else needs_of(compiled.charter, case, amount, is_urgent=is_urgent(rank))
        shut = agent.shut_for(needs, now.timestamp())
        if shut is not None and shut.resource == AGENT:
            return shut
        known = self._accounts.fact_of(agent.partition, case)
        account = self._accounts.of(case.agent)
        found = admit_step(account, compiled, case, known, amount, now, is_urgent=is_urgent(rank))
        if isinstance(found, Withheld):
            return _shut(found)
        if found.reason:
            return Ended(found)
        return Started(found) if shut is None else shut


def _shut(withheld: Withheld) -> Shut:
    return Shut(withheld.gate, withheld.scope, withheld.reason, withheld.opens_at)
