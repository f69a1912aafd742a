"""Grants rate requests: when each call may be made under a limit of an action or a connection.

It is part of the budget stage, which has one writer for each limit as it has one for each agent. A table has one fact
for each grant; the slots of a limit are derived from them. A request is answered at once, or through a timer at its
slot, so that nobody has to poll. The act stage requests grants (`rate_limiter.py`).
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from nightdesk.processors import rates
from nightdesk.processors.playbook import TimerRequest
from nightdesk.processors.quantities import LONGEST_S, Rate
from nightdesk.schemas import audit_records, ids
from nightdesk.schemas.records import RateRequest
from nightdesk.schemas.topics import RATE_GRANTS, TIMERS
from nightdesk.streams.api import Clock, Delivery, StagedWrites, Table
from nightdesk.streams.stages.timer_records import as_timer

# A repeated request within this time after its slot finds its grant.
KEPT_S = 3600


class GrantedSlot(BaseModel):
    """A granted slot. `at` and `asked_at` are in epoch seconds."""

    limit: str
    at: float
    asked_at: float


class RateLimits:
    """The slots of every limit of our partitions."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slots: dict[str, rates.SlotLog] = {}
        self.table = Table("slots", GrantedSlot, self._on_expired)

    def recovered(self) -> Iterator[None]:
        """Derive the slots again."""
        now, found = self._clock().timestamp(), dict[str, list[rates.Slot]]()
        self._slots = {}
        for entries in self.table.slices():
            for _, key, slot in entries:
                found.setdefault(slot.limit, []).append(rates.Slot(key, slot.at, slot.asked_at))
            yield
        self._slots = {limit: rates.SlotLog(rates.slots_as_of(slots, now)) for limit, slots in found.items()}

    def _on_expired(self, key: str, slot: GrantedSlot, writes: StagedWrites) -> None:
        """Delete a slot that no current period includes."""
        slots = self._slots.get(slot.limit)
        if slots is not None:
            slots.forget_until(slot.at)
            if not slots:
                del self._slots[slot.limit]
        self.table.delete(writes, key)

    def ask(self, delivery: Delivery[RateRequest], writes: StagedWrites) -> None:
        """Answer a rate request. A repeated one gets the same grant."""
        request = delivery.record
        slot = self.table.get(delivery.partition, request.request_id) or self._give(request, writes)
        slot_at = datetime.fromtimestamp(slot.at, UTC)
        granted = request.model_copy(update={"slot_at": slot_at})
        if slot.at <= slot.asked_at:
            writes.emit(RATE_GRANTS, granted)
        else:
            self._answer_later(granted, slot_at, delivery.traceparent, writes)

    def _give(self, request: RateRequest, writes: StagedWrites) -> GrantedSlot:
        rate, now = Rate(count=request.count, per_seconds=request.per_seconds), self._clock().timestamp()
        slots = self._slots.setdefault(request.limit, rates.SlotLog())
        slot = GrantedSlot(limit=request.limit, at=slots.next_at(rate, now), asked_at=now)
        if slot.at > now + LONGEST_S:
            raise ValueError(f"{request.limit} has no slot in the next ten years")
        kept_until = slot.at + max(rate.per_seconds, KEPT_S)
        self.table.put(writes, request.request_id, slot, kept_until)
        slots.add(rates.Slot(request.request_id, slot.at, now))
        return slot

    def _answer_later(self, granted: RateRequest, slot_at: datetime, traceparent: str, writes: StagedWrites) -> None:
        decision, reason = granted.decision, f"{granted.limit}: {granted.count} in {granted.per_seconds} s"
        timer = TimerRequest(
            timer_id=ids.timer_id("rate_request", granted.request_id),
            subject=granted.subject,
            # Round up, because timers have microseconds and slots are finer.
            due_at=slot_at + timedelta(microseconds=1),
            topic=RATE_GRANTS.name,
            record=granted,
            reason=f"waits for a slot under {reason}",
            case_id=decision.case.case_id,
        )
        writes.emit(TIMERS, as_timer(timer, writes.codec, traceparent))
        writes.audit(audit_records.queued(decision, timer, granted.request_id, traceparent, granted.time))
