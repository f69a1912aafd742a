"""Budget: reserves the worst price of a step of a case before it starts, and settles its real cost.

There is one writer for each agent. `ledger` has one fact for each step of a case (`processors/ledger/`); the totals of
each agent are derived from them in memory, and kept beside them on disk (`accounts.py`). A step without money or room
waits in its agent's queue, or goes to a person, or is refused, as its charter says (`admission.py`). A reservation that
is never settled expires: it counts as spent until somebody corrects it. The rate limits of actions and connections have
their single writer here too (`rate_limits.py`).
"""

import logging
from collections.abc import Iterator

from nightdesk.processors import ledger
from nightdesk.processors.ledger import Fact
from nightdesk.processors.provenance import Forged
from nightdesk.schemas import audit_records
from nightdesk.schemas.records import BudgetEntry
from nightdesk.schemas.topics import BUDGET, RATE_REQUESTS
from nightdesk.streams.api import Clock, Delivery, Route, Stage, StagedWrites
from nightdesk.streams.control import Control
from nightdesk.streams.metrics import COSTS_BEYOND_HELD
from nightdesk.streams.stage_spec import StageSpec, TableSpec
from nightdesk.streams.stages import parking_keys
from nightdesk.streams.stages.accounts import Accounts
from nightdesk.streams.stages.admission import Admission
from nightdesk.streams.stages.anomalies import Breaker
from nightdesk.streams.stages.rate_limits import RateLimits

log = logging.getLogger(__name__)

TABLES = {
    "ledger": TableSpec(
        "the money of each step",
        "2 days after its settlement or its expiry",
        "a settlement that comes again counts as new money",
    ),
    "waiting": TableSpec(
        "each step that waits for money, room or a model, whole",
        "until it goes on, at most `queue.wait_at_most`",
        "as the charter says: a person, the rules, or refused",
    ),
    "agent_clocks": TableSpec("how long an agent with waiting steps was stopped", "until its queue is empty"),
    "slots": TableSpec(
        "each granted slot of a rate",
        "the rate's period, at least 1 hour",
        "the same request gets a new slot",
    ),
    "pauses": TableSpec(
        "the last order that the anomaly breaker gave for each agent",
        "forever: one or two for each agent",
    ),
}


class Budget(Stage):
    """The budget stage."""

    name = "budget"
    table_names = tuple(TABLES)

    def __init__(self, control: Control, clock: Clock) -> None:
        super().__init__(clock)
        self._control = control
        self._rate_limits = RateLimits(clock)
        self._accounts = Accounts()
        self._admission = Admission(control, clock, self._accounts)
        self._breaker = Breaker(control, clock, self._accounts.recent)
        self.tables = (
            self._accounts.table,
            *self._admission.tables,
            self._rate_limits.table,
            self._breaker.table,
        )

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(BUDGET, self.enter, waits_for=parking_keys.for_charter(self._control)),
            Route(RATE_REQUESTS, self._rate_limits.ask),
        )

    def recovered(self) -> Iterator[None]:
        """Derive all accounts, queues and rate slots again."""
        self._breaker.recovered()
        yield from self._rate_limits.recovered()
        for facts in self._accounts.recovered(self._clock().timestamp(), self._breaker.window_s):
            for fact in facts:
                self._breaker.remember(fact)
            yield
        yield from self._admission.recovered()

    def tick(self, partition: int, writes: StagedWrites) -> None:
        """Start waiting steps that may go on, and measure."""
        self._accounts.measure(self._control.current(), self._clock())
        self._breaker.tick()
        self._admission.tick(partition, writes)

    def enter(self, delivery: Delivery[BudgetEntry], writes: StagedWrites) -> None:
        """Handle one entry of the ledger."""
        entry = delivery.record
        _check_case(entry)
        if entry.kind == "reserve":
            self._admission.ask(delivery, writes)
            return
        known = self._accounts.fact(delivery.partition, entry.agent, entry.case_id, entry.step)
        fact = ledger.after(known, entry)
        self._report(entry, fact or known, delivery.traceparent, writes)
        if fact is not None:
            self._accounts.remember(fact, known, writes)
            self._admission.after_entry(entry, known, delivery.partition, writes)
            self._breaker.observe(fact, delivery, writes)
        else:
            self._breaker.repeat_order(delivery, writes)
        if entry.kind == "returned":
            if fact is None:
                self._admission.give_back_again(known, delivery, writes)
            else:
                self._admission.give_back(fact, delivery, writes)

    def _report(self, entry: BudgetEntry, fact: Fact | None, traceparent: str, writes: StagedWrites) -> None:
        """Report to the audit what a person has to know. A redelivery emits it again, and readers drop the second
        record.
        """
        if fact is None:
            return
        held, claimed = fact.reserved_microusd, fact.spent_microusd
        if entry.kind == "correct" and fact.corrected_microusd is not None:
            writes.audit(audit_records.corrected(entry, held, claimed, traceparent))
        elif entry.kind == "settle" and fact.not_counted_microusd:
            writes.audit(audit_records.beyond_held(entry, held, claimed, traceparent))
            log.error("case %s of %s: %s", fact.case_id, fact.agent, audit_records.claim(held, claimed))
            COSTS_BEYOND_HELD.labels(agent=fact.agent).inc()


def _check_case(entry: BudgetEntry) -> None:
    """Raise `Forged` for an entry with the case of another agent, whose ledger has another writer, or of another
    step than it names.
    """
    case = entry.case
    if case is None:
        return
    names, has = (entry.agent, entry.case_id, entry.step), (case.agent, case.case_id, case.step)
    if names != has:
        raise Forged(f"an entry of {'/'.join(map(str, names))} has the case {'/'.join(map(str, has))}")


SPEC = StageSpec(
    name=Budget.name,
    summary="Writes each agent's ledger: admits steps, settles their cost, grants rate requests, pauses agents.",
    topics=(BUDGET, RATE_REQUESTS),
    tables=TABLES,
    build=lambda context: Budget(context.control, context.clock),
)
