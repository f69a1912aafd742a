"""Ingest: an event becomes a case for every agent whose charter accepts it, or an audit record that says why not.

`seen` stores for each event (a source, an id and a subject) its place, the agents that it was offered to, and the
results. So a redelivery, perhaps hours later, has the same result. An agent that took an event never takes it again, so
another record of the same event is a duplicate. To an agent that could not take it, the event is offered again.
"""

from collections.abc import Iterator
from datetime import datetime

from nightdesk.processors import routing
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.event_checks import problem_with
from nightdesk.processors.scopes import DataInvalid, Scope, event_scope
from nightdesk.schemas import audit_records
from nightdesk.schemas.ids import composite_key
from nightdesk.schemas.records import Case, Event
from nightdesk.schemas.reoffers import EVERY_AGENT
from nightdesk.schemas.topics import INGEST
from nightdesk.streams.api import AsyncHandler, Clock, Delivery, Route, Stage, StagedWrites, Table
from nightdesk.streams.control import Control
from nightdesk.streams.stage_spec import StageSpec, TableSpec
from nightdesk.streams.stages import parking_keys
from nightdesk.streams.stages.arrivals import Arrival, Offer, Result
from nightdesk.streams.stages.ingest_output import Reading, go_on, ignore, tell_offered, tell_others, tell_rejected
from nightdesk.streams.stages.subject_queues import SubjectQueues, WaitingCase

SEEN_FOR_S = 7 * 86_400


class EventRefused(ValueError):
    """The pipeline cannot process the event; it becomes a dead letter."""


TABLES = {
    "seen": TableSpec(
        "each event: its place, and the result for each agent",
        "7 days",
        "the same event that comes again is a new one: it is decided and acted on again",
    ),
    "subject_rates": TableSpec(
        "each admitted case of a subject with `limits.per_subject`",
        "the period of the charter's rate",
        "it no longer counts",
    ),
    "waiting": TableSpec(
        "each case that waits for its turn, whole",
        "until it goes on, at most `limits.wait_at_most` of the charter",
        "a person gets the case",
    ),
}


class Ingest(Stage):
    """The ingest stage."""

    name = "ingest"
    table_names = tuple(TABLES)

    def __init__(self, control: Control, clock: Clock) -> None:
        super().__init__(clock)
        self._control = control
        self._seen = Table("seen", Arrival)
        self._queues = SubjectQueues()
        self.tables = (self._seen, *self._queues.tables)

    def routes(self) -> tuple[Route, ...]:
        return (Route(INGEST, self.take, parking_keys.for_events(self._control), self._waits_for),)

    def recovered(self) -> Iterator[None]:
        """Derive the queues again."""
        yield from self._queues.recovered()

    # -- one event

    def take(self, delivery: Delivery[Event], writes: StagedWrites) -> None:
        """Handle an event."""
        event, now = delivery.record, self._clock()
        _check(event, now)
        key = composite_key(event.source, event.id, event.subject)
        known, reading = self._seen.get(delivery.partition, key), Reading(delivery, writes, _scope(event))
        if known is not None and known.is_redelivery(delivery.place):
            self._repeat(reading, known)
            return
        took = frozenset[str]() if known is None else known.took()
        offers = self._offer_to_all(self._candidates(known, delivery.offered_to), reading, known, now)
        if took and not offers:
            reason = "an event with this source, id and subject came before"
            writes.audit(audit_records.no_case(event, "duplicate", reason, delivery, delivery.traceparent, now))
            return
        if not offers:
            ignore(reading, self._control, now)
        tell_others(reading, self._control, now)
        earlier = {} if known is None else known.offers
        arrival = Arrival(place=delivery.place, at=now, offers={**earlier, **offers})
        self._seen.put(writes, key, arrival, now.timestamp() + SEEN_FOR_S)
        for admitted in reading.admitted:
            self._queues.count(delivery.partition, admitted)
        for waiting in reading.waiting:
            self._queues.append(delivery.partition, waiting)

    def _waits_for(self, event: Event, partition: int) -> AsyncHandler | None:
        """A record that comes again waits for the charters of its first reading: another may know them first."""
        known = self._seen.get(partition, composite_key(event.source, event.id, event.subject))
        if known is None:
            return None
        return self._control.wait_for(*((agent, offer.version) for agent, offer in known.offers.items()))

    def _candidates(self, known: Arrival | None, offered_to: str) -> list[CompiledCharter]:
        """The promoted charters to offer the event to. If an agent already took the event, these are only charters of
        agents that could not take it, unless a person offers it to others.
        """
        took = frozenset[str]() if known is None else known.took()
        current = [compiled for compiled in self._control.current() if compiled.agent not in took]
        if offered_to not in ("", EVERY_AGENT):
            return [compiled for compiled in current if compiled.agent == offered_to]
        if known is not None and took and not offered_to:
            return [compiled for compiled in current if compiled.agent in known.offers]
        return current

    def _offer_to_all(
        self, candidates: list[CompiledCharter], reading: Reading, known: Arrival | None, now: datetime
    ) -> dict[str, Offer]:
        """Offer the event to each charter. The first exclusive charter that accepts it excludes other
        exclusive ones.
        """
        offers: dict[str, Offer] = {}
        owner = "" if known is None else self._exclusive_owner(known)
        for compiled in candidates:
            is_exclusive = compiled.charter.exclusive
            if is_exclusive and owner not in ("", compiled.agent):
                continue
            earlier = None if known is None else known.offers.get(compiled.agent)
            offer = self._offer(compiled, reading, earlier, now)
            if offer is not None:
                offers[compiled.agent] = offer
                owner = compiled.agent if is_exclusive and offer.result != "rejected" else owner
        return offers

    def _exclusive_owner(self, known: Arrival) -> str:
        """The exclusive agent that accepted the event before, even if its limit refused the case; empty for none."""
        for agent, offer in known.offers.items():
            compiled = self._control.known(agent, offer.version)
            if offer.result != "rejected" and compiled is not None and compiled.charter.exclusive:
                return agent
        return ""

    def _repeat(self, reading: Reading, known: Arrival) -> None:
        """Repeat the result of a record that was handled before."""
        offers = known.offers_at(reading.delivery.place)
        for agent, offer in offers.items():
            compiled = self._control.charter(agent, offer.version)
            if offer.result == "rejected":
                tell_rejected(compiled, routing.match(compiled, reading.event, reading.scope).problems, offer, reading)
            else:
                case = routing.open_case(compiled, reading.event, offer.at, offer.case_at, reading.delivery.stored_at)
                tell_offered(compiled, case, offer, reading)
        if not offers:
            ignore(reading, self._control, known.at)
        tell_others(reading, self._control, known.at)

    def _offer(self, compiled: CompiledCharter, reading: Reading, earlier: Offer | None, now: datetime) -> Offer | None:
        """The result of offering the event to a charter; None if that does not listen to it."""
        match = routing.match(compiled, reading.event, reading.scope)
        if match.routed is None and not match.problems:
            return None
        first_at = None if earlier is None else earlier.case_at
        place, version = reading.delivery.place, compiled.version
        if match.problems:
            offer = Offer(version=version, place=place, at=now, result="rejected", first_at=first_at)
            tell_rejected(compiled, match.problems, offer, reading)
            return offer
        case = routing.open_case(compiled, reading.event, now, first_at, reading.delivery.stored_at)
        result = self._admit(compiled, case, reading, now)
        offer = Offer(version=version, place=place, at=now, result=result, first_at=first_at)
        tell_offered(compiled, case, offer, reading)
        return offer

    def _admit(self, compiled: CompiledCharter, case: Case, reading: Reading, now: datetime) -> Result:
        limits, writes = compiled.charter.limits, reading.writes
        admitted = self._queues.admit(case, limits, writes, now.timestamp())
        if admitted is not None:
            reading.admitted.append(admitted)
            return "admitted"
        if limits.over_limit == "refuse":
            return "refused"
        if self._queues.is_full(case, writes.partition):
            return "full"
        waiting = WaitingCase(
            case=case,
            rate=limits.per_subject,
            number=reading.delivery.offset,
            until=now.timestamp() + limits.wait_at_most,
            traceparent=reading.delivery.traceparent,
        )
        self._queues.put(waiting, writes)
        reading.waiting.append(waiting)
        return "waits"

    # -- time

    def tick(self, partition: int, writes: StagedWrites) -> None:
        """Start the cases that may go on or that have waited for too long."""
        now = self._clock()
        for released in self._queues.release(writes, now.timestamp()):
            go_on(released, writes, now)


def _check(event: Event, now: datetime) -> None:
    problem = problem_with(event, now)
    if problem is not None:
        raise EventRefused(problem)


def _scope(event: Event) -> Scope | None:
    try:
        return event_scope(event)
    except DataInvalid:
        return None  # routing reports it for the charters that would have accepted it


SPEC = StageSpec(
    name=Ingest.name,
    summary="Decodes events, drops duplicates, offers each event to every promoted charter, queues cases over a limit.",
    topics=(INGEST,),
    tables=TABLES,
    build=lambda context: Ingest(context.control, context.clock),
    parks=True,
)
