"""The queue of one agent, with the state of its models and the time of the next pass over it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from nightdesk.processors.admission.availability import Availability, SlowStart
from nightdesk.processors.admission.gates import GATES, GateName, Shut
from nightdesk.processors.admission.needs import MODEL
from nightdesk.processors.admission.queue import EARLIER_STEPS, AdmissionQueue
from nightdesk.processors.admission.steps import Needs, WaitingStep
from nightdesk.processors.admission.stops import AgentClock, shut_by
from nightdesk.schemas.records import ControlCommand


@dataclass(slots=True)
class AgentQueue:
    """One agent's queue, the time of the last pass over it and the time when the next is due (epoch seconds).
    `saved_clock` is the last durable state of its clock.
    """

    partition: int
    agent: str
    queue: AdmissionQueue = field(default_factory=AdmissionQueue)
    looked_at: float = 0.0
    due_at: float = 0.0
    availability: Availability = field(default_factory=Availability)
    slow_start: SlowStart | None = None
    stopped_by: Shut | None = None
    clock: AgentClock = field(default_factory=AgentClock)
    saved_clock: AgentClock = field(default_factory=AgentClock)

    def obey(self, order: ControlCommand | None, now: float) -> None:
        """Apply the order that stops the agent, or the end of one. When an order ends, the waiting steps go on in a
        slow start.
        """
        was, self.stopped_by = self.stopped_by, shut_by(order)
        if was != self.stopped_by:
            self.due_at = 0.0
        if was is not None and self.stopped_by is None:
            self.slow_start = SlowStart(now)
        if order is None:
            self.clock = self.clock.started(now)
        else:
            self.clock = self.clock.stopped(min(order.time.timestamp(), now))

    def shut_for(self, needs: Needs, now: float) -> Shut | None:
        """The gate that holds back a step with these needs now, apart from its money and its rate."""
        if self.stopped_by is not None and self.stopped_by.resource in needs.resources:
            return self.stopped_by
        return self.shut_for_models(now) if MODEL in needs.resources else None

    def shut_for_models(self, now: float) -> Shut | None:
        """The gate that keeps a step from asking a model now."""
        away, start = self.availability, self.slow_start
        if away.state == "probing" or (away.state == "away" and now < away.retry_at):
            return Shut("unavailable", MODEL, away.reason, away.retry_at if away.state == "away" else 0.0)
        if start is not None and now < start.opens_at():
            return Shut("release", MODEL, "steps go on one after another, after a pause or an outage", start.opens_at())
        return None

    def next_probe(self, now: float) -> WaitingStep | None:
        """The step that asks on behalf of all, if it is time to try the models again. Steps take turns: a question that
        times out may be charged, and a long outage must not use up the money of the first case.
        """
        away = self.availability
        if self.stopped_by is not None or away.state != "away" or now < away.retry_at:
            return None
        return self.queue.least_charged(MODEL)

    def keeps(self, newcomer: WaitingStep, *, behind_unsure: bool) -> Shut | None:
        """The gate that keeps a new step behind earlier ones. `behind_unsure`: the records of some earlier steps may
        not have been emitted yet; the next tick emits them.
        """
        if not behind_unsure:
            return self.queue.keeps(newcomer)
        self.due_at = 0.0
        return Shut("order", EARLIER_STEPS, "earlier steps go first")

    def starts(self, needs: Needs, step: str) -> bool:
        """Note that a step goes on. Returns whether it is the probe."""
        if MODEL not in needs.resources:
            return False
        if self.slow_start is not None:
            self.slow_start = self.slow_start.after_release()
        was, self.availability = self.availability, self.availability.after_probe(step)
        return was is not self.availability

    def returns(self, step: str, retry_after_s: float, reason: str, now: float) -> Shut:
        """Note that decide gave a step back. Returns the gate that holds it."""
        self.availability = self.availability.after_return(step, retry_after_s, reason, now)
        self.slow_start = None
        self.due_at = 0.0
        return self.shut_for_models(now) or Shut("unavailable", MODEL, reason)

    def overdue(self, now: float) -> Iterator[WaitingStep]:
        """Remove and return the steps that have waited for too long."""
        return self.queue.overdue(self.clock.at(now))

    def ends(self, step: str, *, answered: bool, now: float) -> None:
        """Note that a step was decided or given up."""
        was, self.availability = self.availability, self.availability.after_end(step, answered=answered, now=now)
        if was.state != "available" and self.availability.state == "available":
            self.slow_start = SlowStart(now)

    @property
    def is_idle(self) -> bool:
        """Whether no step waits and nothing has to be remembered."""
        return not len(self.queue) and self.availability.state == "available"

    def is_due(self, now: float) -> bool:
        """Whether a pass is due. It is due as well after the clock went back, because a gate that was judged by a clock
        ahead of time may be open.
        """
        return not self.looked_at <= now < self.due_at

    @property
    def changes_at(self) -> float:
        """The next time at which a gate opens by itself or a step has waited for too long."""
        if not self.queue.is_settled:
            return 0.0
        # The deadlines of the queue are in the agent's time.
        stands_still = self.clock.stopped_since is not None
        overdue_at = float("inf") if stands_still else self.queue.next_deadline + self.clock.stood_still_s
        return min(self.queue.opens_at, overdue_at)

    def counts(self) -> Mapping[GateName, int]:
        """The number of steps that each gate holds back now."""
        counts = dict.fromkeys(GATES, 0)
        for needs, count in self.queue.counts.items():
            shut = self.queue.shut_for(needs)
            counts["order" if shut is None else shut.gate] += count
        return counts
