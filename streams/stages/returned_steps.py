"""Steps that the decide stage gives back to the budget stage, and the order of their subjects.

A step that cannot be decided now waits in the budget stage, which has the agent's queue. Cases of the same agent and
subject that were sent to decide before that are still behind it in the log. They are given back as well, so that they
stay behind it. A case that comes a second time needs no such check, because the queue keeps the order.
"""

import math
from collections.abc import Iterable

from pydantic import BaseModel

from nightdesk.processors.ledger.entries import returned
from nightdesk.processors.unanswered import Cause, GivenBack
from nightdesk.schemas import ids
from nightdesk.schemas.records import Case
from nightdesk.schemas.topics import BUDGET
from nightdesk.streams.api import Clock, Delivery, StagedWrites, Table
from nightdesk.streams.metrics import STEPS_RETURNED
from nightdesk.streams.stages.circuits import Circuits

# The cases behind a returned step were in the log already, so they are read long before this.
KEPT_S = 2 * 86_400


class ReturnedStep(BaseModel):
    """The first case of an agent and subject that was given back and has not been decided since."""

    case_id: str
    cause: Cause


class ReturnedSteps:
    """The table `returned`: one entry for each agent and subject."""

    def __init__(self, clock: Clock, circuits: Circuits) -> None:
        self._clock = clock
        self._circuits = circuits
        self.table = Table("returned", ReturnedStep)

    def in_front(self, delivery: Delivery[Case]) -> GivenBack | None:
        """Why the case is given back: an earlier one of its subject was. None if none was."""
        case = delivery.record
        first = self.table.get(delivery.partition, _key(case))
        if first is None or first.case_id == case.case_id or case.returns or case.escalate_because:
            return None
        return GivenBack(first.cause, f"waits behind case {first.case_id} of its subject", case.returned_microusd)

    def give_back(self, back: GivenBack, asked: Iterable[str], delivery: Delivery[Case], writes: StagedWrites) -> None:
        """Give the step back; `asked` are the providers that its charter may ask."""
        case, now = delivery.record, self._clock()
        if self.table.get(delivery.partition, _key(case)) is None:
            first = ReturnedStep(case_id=case.case_id, cause=back.cause)
            self.table.put(writes, _key(case), first, now.timestamp() + KEPT_S)
        retry_after_s = self._retry_after_s(asked) if back.cause == "unavailable" else 0
        writes.emit(BUDGET, returned(case, back.cause, back.reason, back.cost_microusd, now, retry_after_s))
        STEPS_RETURNED.labels(agent=case.agent, cause=back.cause).inc()

    def decided(self, delivery: Delivery[Case], writes: StagedWrites) -> None:
        """The case was decided, so the next one of its subject may be."""
        first = self.table.get(delivery.partition, _key(delivery.record))
        if first is not None and first.case_id == delivery.record.case_id:
            self.table.delete(writes, _key(delivery.record))

    def _retry_after_s(self, asked: Iterable[str]) -> int:
        """Seconds until one of the providers may be asked again."""
        shut_s = [seconds for name in asked if (seconds := self._circuits.shut_for_s(name)) > 0]
        return math.ceil(min(shut_s, default=0))


def _key(case: Case) -> str:
    return ids.composite_key(case.agent, case.subject)
