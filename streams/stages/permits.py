"""Permits: when each call may be made under the limits that are wider than a partition, an action's or a connection's.

Part of the budget stage, whose partitions have one writer for each limit as they have one for each agent. `permits`
holds one fact for each permit; the slots of a limit are derived from them. What is asked for is answered at once, or
through `later` at its slot, so that nobody has to ask again and again. The act stage asks (`turns.py`).
"""

from bisect import bisect_left, insort
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from processors import rates
from processors.charter.quantities import Rate
from processors.playbook import Timer
from schemas import ids
from schemas.records import Permit
from schemas.topics import LATER, PERMITTED
from streams.runtime.changes import Changes
from streams.runtime.delivery import Delivery
from streams.runtime.policy import Clock
from streams.runtime.tables import FactTable
from streams.stages import audit
from streams.stages.facts import stored
from streams.stages.timers import as_reminder

# So long after its slot a permit that is asked for again meets its answer.
KEPT_S = 3600


class Slot(BaseModel):
    """One permit that was given. `at` and `asked_at` are epoch seconds."""

    limit: str
    at: float
    asked_at: float


class Permits:
    """The slots of every limit that is ours."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slots: dict[str, list[float]] = {}
        self._table: FactTable

    def bind(self, table: FactTable) -> None:
        self._table = table

    def recovered(self) -> None:
        """Derive the slots again."""
        self._slots = {}
        for partition in self._table.partitions_held():
            for value in self._table.facts(partition).values():
                slot = Slot.model_validate_json(value)
                insort(self._slots.setdefault(slot.limit, []), slot.at)

    def tick(self, partition: int, changes: Changes) -> None:
        """Forget slots that no period can hold any more."""
        for key in self._table.expired(partition, self._clock().timestamp()):
            slot = Slot.model_validate_json(self._table.facts(partition)[key])
            slots = self._slots[slot.limit]
            del slots[bisect_left(slots, slot.at)]
            changes.forget(self._table, key.decode())

    def ask(self, delivery: Delivery[Permit], changes: Changes) -> None:
        """One permit. Asked for again, it gets the same answer."""
        permit = delivery.record
        known = self._table.read(delivery.partition, permit.permit_id)
        slot = self._give(permit, changes) if known is None else Slot.model_validate_json(known)
        slot_at = datetime.fromtimestamp(slot.at, UTC)
        granted = permit.model_copy(update={"slot_at": slot_at})
        if slot.at <= slot.asked_at:
            changes.emit(PERMITTED, granted)
        else:
            self._answer_later(granted, slot_at, delivery.traceparent, changes)

    def _give(self, permit: Permit, changes: Changes) -> Slot:
        rate, now = Rate(count=permit.count, per_seconds=permit.per_seconds), self._clock().timestamp()
        slots = self._slots.setdefault(permit.limit, [])
        slot = Slot(limit=permit.limit, at=rates.next_slot(slots, rate, now), asked_at=now)
        kept_until = slot.at + max(rate.per_seconds, KEPT_S)
        changes.put(self._table, permit.permit_id, stored(slot), kept_until)
        slots.append(slot.at)
        return slot

    def _answer_later(self, granted: Permit, slot_at: datetime, traceparent: str, changes: Changes) -> None:
        decision, reason = granted.decision, f"{granted.limit}: {granted.count} in {granted.per_seconds} s"
        timer = Timer(
            reminder_id=ids.reminder_id("permit", granted.permit_id),
            subject=granted.subject,
            # Not a moment before: timers know microseconds, slots are finer.
            due_at=slot_at + timedelta(microseconds=1),
            topic=PERMITTED.name,
            record=granted,
            reason=f"its turn comes under {reason}",
            case_id=decision.case.case_id,
        )
        changes.emit(LATER, as_reminder(timer, changes.codec, traceparent))
        changes.audit(audit.queued(decision, timer, granted.permit_id, traceparent, granted.time))
