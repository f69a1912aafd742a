"""Turns: a call under a limit is made with a permit, and never closer to the others than the limit allows.

Asked by `calls.py` before each call; costs nothing where no limit is set. The single writer of a limit says when
(`permits.py`). A permit for a connection is good for one call, also over a crash; one for an action lasts the whole
playbook. Where permits come in a heap, after the stage stood still, a worker makes no more than twice the limit's calls
in one period: it cannot be exact there, because some permits are always a moment late.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from processors import backoff, rates
from processors.charter.quantities import Rate
from processors.playbook import RunStep
from schemas import ids
from schemas.records import Permit
from streams.ports import Actions
from streams.runtime.policy import Clock
from streams.stages.errands import Errand, Grant, RetryLater

# A permit that was not used for so long, or a whole period of its limit, is asked for again.
GOOD_FOR_AT_LEAST_S = 60


@dataclass(frozen=True, slots=True)
class Turn:
    """What a call needs leave for. `once`: for this call alone."""

    limit: str
    rate: Rate
    purpose: str
    once: bool


class TurnNeeded(Exception):
    """The call has to wait until its permit comes."""

    def __init__(self, permit: Permit) -> None:
        super().__init__(permit.limit)
        self.permit = permit


class Turns:
    """The limits as one worker sees them."""

    def __init__(self, actions: Actions, clock: Clock) -> None:
        self._actions = actions
        self._clock = clock
        self._made: dict[str, rates.Window] = {}

    def take(self, errand: Errand, step: RunStep) -> None:
        """Use up what the call needs. Raises `TurnNeeded`, or `RetryLater` where this worker called too often."""
        for turn in self._needed(errand, step):
            grant = errand.kept.grants.get(turn.purpose)
            now = self._clock()
            if grant is None or grant.used or not _is_good(grant, turn.rate, now):
                raise TurnNeeded(_permit(turn, errand, 1 if grant is None else grant.number + 1, now))
            self._space(turn, grant, now.timestamp())
            if turn.once:
                errand.kept = errand.kept.with_grant(turn.purpose, grant.model_copy(update={"used": True}))

    def _needed(self, errand: Errand, step: RunStep) -> Iterator[Turn]:
        decision, kept = errand.decision, errand.kept
        of_action = errand.compiled.charter.limits.actions.get(decision.action)
        if of_action is not None and not step.undo:
            limit = f"{decision.case.agent}/{decision.action}"
            yield Turn(limit, of_action, decision.decision_id, once=False)
        of_connection = self._actions.rate(errand.compiled, step.handler)
        if of_connection is not None:
            limit = f"connection {errand.compiled.charter.handlers[step.handler].outside}"
            call = f"{step.step_id}:{kept.attempts.get(step.step_id, 0)}:{kept.waits}"
            yield Turn(limit, of_connection, call, once=True)

    def _space(self, turn: Turn, grant: Grant, now: float) -> None:
        cause = f"{turn.purpose}:{grant.number}"
        most = turn.rate.model_copy(update={"count": 2 * turn.rate.count})
        admitted = rates.admit(self._made.get(turn.limit, ()), most, cause, now)
        self._made[turn.limit] = admitted.window
        if not admitted.ok:
            after_s = admitted.retry_at - now + turn.rate.per_seconds * backoff.spread(cause)
            raise RetryLater(after_s, f"too many at once for {turn.limit}")


def _is_good(grant: Grant, rate: Rate, now: datetime) -> bool:
    return now - grant.slot_at <= timedelta(seconds=max(GOOD_FOR_AT_LEAST_S, rate.per_seconds))


def _permit(turn: Turn, errand: Errand, number: int, now: datetime) -> Permit:
    return Permit(
        permit_id=ids.permit_id(turn.purpose, number),
        limit=turn.limit,
        count=turn.rate.count,
        per_seconds=turn.rate.per_seconds,
        purpose=turn.purpose,
        number=number,
        decision=errand.read,
        time=now,
    )
