"""Which rate limits a call falls under, and whether its grants are still valid. Pure.

A grant for a connection is valid for one call, even after a crash; a grant for an action is valid for the whole
playbook.
"""

from collections.abc import Iterator
from datetime import datetime

from nightdesk.processors.execution.policy import GRANT_VALID_AT_LEAST_S
from nightdesk.processors.execution.state import RateGrant
from nightdesk.processors.execution.types import Execution, RateUse, StepPolicy
from nightdesk.processors.playbook import RunStep
from nightdesk.schemas import ids
from nightdesk.schemas.records import RateRequest


def uses_of(execution: Execution, step: RunStep, policy: StepPolicy) -> Iterator[RateUse]:
    """The limits of the step's next call; empty if neither the charter nor the connection sets one."""
    decision, state = execution.decision, execution.state
    action_rate = execution.compiled.charter.limits.actions.get(decision.action)
    if action_rate is not None and not step.undo:
        yield RateUse(f"{decision.case.agent}/{decision.action}", action_rate, decision.decision_id, once=False)
    if policy.connection_rate is not None:
        limit = f"connection {policy.handler.outside}"
        call = f"{step.step_id}:{state.attempts.get(step.step_id, 0)}:{state.waits}"
        yield RateUse(limit, policy.connection_rate, call, once=True)


def valid_grant(execution: Execution, use: RateUse, now: datetime) -> RateGrant | None:
    """The grant with which the call may be made; None if one has to be requested."""
    grant = execution.state.grants.get(use.purpose)
    if grant is None or grant.used or not _is_recent(grant, use, execution, now):
        return None
    return grant


def _is_recent(grant: RateGrant, use: RateUse, execution: Execution, now: datetime) -> bool:
    """Whether the grant is recent enough. A pause of the agent does not age the grant of a playbook that was started,
    because the limit has counted it. Any other grant is requested again, or all calls that a pause held back would be
    made at once when it ends.
    """
    age_s = (now - grant.slot_at).total_seconds()
    if not use.once and execution.state.is_begun:
        age_s -= max(0.0, execution.paused_s - grant.paused_s)
    return age_s <= max(GRANT_VALID_AT_LEAST_S, use.rate.per_seconds)


def request_for(execution: Execution, use: RateUse, now: datetime) -> RateRequest:
    """The request to the limit's single writer. Its number is one more than that of the last grant."""
    before = execution.state.grants.get(use.purpose)
    number = 1 if before is None else before.number + 1
    return RateRequest(
        request_id=ids.request_id(use.purpose, number),
        limit=use.limit,
        count=use.rate.count,
        per_seconds=use.rate.per_seconds,
        purpose=use.purpose,
        number=number,
        decision=execution.received,
        time=now,
    )
