"""Emits the records of the ingest stage: the audit of an event, and its effects in other stages."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.event_checks import unusual_time
from nightdesk.processors.ledger.entries import reservation
from nightdesk.processors.scopes import Scope
from nightdesk.schemas import audit_records
from nightdesk.schemas.records import Case, Event, SubjectEvent
from nightdesk.schemas.reoffers import EVERY_AGENT
from nightdesk.schemas.topics import BUDGET, SUBJECT_EVENTS, TIMERS
from nightdesk.streams.api import Delivery, StagedWrites
from nightdesk.streams.control import Control
from nightdesk.streams.stages.arrivals import Offer
from nightdesk.streams.stages.subject_queues import CASES_AT_MOST, Released, WaitingCase
from nightdesk.streams.stages.subject_rates import Admitted
from nightdesk.streams.stages.timer_records import came


@dataclass(frozen=True, slots=True)
class Reading:
    """One delivery of an event, and its staged writes. `admitted` are its cases that go on at once, and `waiting` those
    that will wait for their turn.
    """

    delivery: Delivery[Event]
    writes: StagedWrites
    scope: Scope | None
    admitted: list[Admitted] = field(default_factory=list)
    waiting: list[WaitingCase] = field(default_factory=list)

    @property
    def event(self) -> Event:
        return self.delivery.record


def tell_rejected(compiled: CompiledCharter, problems: tuple[str, ...], offer: Offer, reading: Reading) -> None:
    """Record that a charter listens to the event and cannot take its data."""
    delivery, agent = reading.delivery, compiled.agent
    reason = f"{agent}: " + "; ".join(problems)
    rejected = audit_records.no_case(
        delivery.record, "rejected", reason, delivery, delivery.traceparent, offer.at, agent
    )
    reading.writes.audit(rejected)


def tell_offered(compiled: CompiledCharter, case: Case, offer: Offer, reading: Reading) -> None:
    """Record the result of offering the event to a charter that accepts it."""
    delivery, writes, trace = reading.delivery, reading.writes, reading.delivery.traceparent
    if offer.result == "admitted":
        writes.audit(audit_records.received(case, trace, unusual_time(case.event, offer.at)))
        writes.emit(BUDGET, reservation(case, offer.at))
        return
    over = _over_limit(compiled)
    if offer.result == "waits":
        until = offer.at + timedelta(seconds=compiled.charter.limits.wait_at_most)
        writes.audit(audit_records.received(case, trace, unusual_time(case.event, offer.at)))
        writes.audit(audit_records.waits_for_turn(case, f"{over}: waits for its turn", until, trace))
    elif offer.result == "full":
        over += f", and {CASES_AT_MOST} of its cases wait, or too many bytes of others do"
        writes.audit(audit_records.not_admitted(case, over, delivery, trace, offer.at))
    else:
        writes.audit(audit_records.not_admitted(case, over, delivery, trace, offer.at))


def ignore(reading: Reading, control: Control, at: datetime) -> None:
    """Record that no charter accepts the event."""
    delivery, event = reading.delivery, reading.event
    to = "" if delivery.offered_to in ("", EVERY_AGENT) else f" by {delivery.offered_to}"
    cancels = ", but it may cancel a follow-up" if control.is_watched(event.type) else ""
    reason = f"no charter{to} accepts {event.type}{cancels}"
    reading.writes.audit(audit_records.no_case(event, "ignored", reason, delivery, delivery.traceparent, at))


def tell_others(reading: Reading, control: Control, at: datetime) -> None:
    """Send the event to the stages in which it may cancel a follow-up or take back a decision."""
    event, writes = reading.event, reading.writes
    if control.is_watched(event.type):
        writes.emit(TIMERS, came(event, at, writes.codec, reading.delivery.traceparent))
    if control.is_reason_to_reconsider(event.type):
        writes.emit(SUBJECT_EVENTS, SubjectEvent(event=event, received_at=at))


def go_on(released: Released, writes: StagedWrites, now: datetime) -> None:
    """Start a case that waited for its turn, or for as long as it may."""
    waiting, overdue = released
    case, trace = waiting.case, waiting.traceparent
    waited_s = (now - case.received_at).total_seconds()
    reason = f"its turn came after {waited_s:.0f} s"
    if overdue:
        reason = f"it waited for {waited_s:.0f} s for its turn, the most that its charter allows: a person gets it"
        case = case.model_copy(update={"escalate_because": reason})
    writes.continue_trace(trace)
    writes.emit(BUDGET, reservation(case, now))
    writes.audit(audit_records.turn_came(case, reason, trace, now))


def _over_limit(compiled: CompiledCharter) -> str:
    rate = compiled.charter.limits.per_subject
    return f"more than {rate.count} in {rate.per_seconds} s for this subject" if rate else "earlier cases wait"
