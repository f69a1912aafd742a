"""The rows of the budget stage's tables of waiting steps, and their keys."""

from datetime import datetime

from pydantic import BaseModel

from nightdesk.processors.admission import GateName, Needs, QueuePlace, Shut, WaitingStep, is_urgent, needs_of, rank_of
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.ledger.admission import begins
from nightdesk.processors.ledger.reserving import worst_price_microusd
from nightdesk.processors.prices import UnknownPrice
from nightdesk.schemas import ids
from nightdesk.schemas.records import Case


class WaitingRow(BaseModel):
    """A waiting step: its case, its place in the queue, and why it began to wait. Times are epoch seconds.

    `stood_still_s` is how long its agent's clock had stood still when it came. `was_probe`: decide gave it back as the
    probe, so in the audit its wait continues. `rank_problem`: the expressions for its rank that failed.
    """

    case: Case
    arrival: int
    rank: int
    since: float
    until: float
    amount_microusd: int
    resources: tuple[str, ...]
    ends_when_spent: bool
    gate: GateName
    reason: str
    traceparent: str
    stood_still_s: float = 0.0
    was_probe: bool = False
    rank_problem: str = ""

    @property
    def key(self) -> str:
        return row_key(self.case)

    def kept_by(self, shut: Shut) -> "WaitingRow":
        """The row with the gate that holds it."""
        return self.model_copy(update={"gate": shut.gate, "reason": self.explained(shut.reason)})

    def explained(self, reason: str) -> str:
        """The reason, with the expressions for its rank that failed, because without that failure the step might not
        wait.
        """
        return f"{reason} ({self.rank_problem})" if reason and self.rank_problem else reason

    def until_at_most(self, until: float) -> "WaitingRow":
        """The row with this deadline, if it is earlier."""
        return self.model_copy(update={"until": min(self.until, until)})

    def step(self) -> WaitingStep:
        """The step as the queue needs it."""
        return WaitingStep(
            key=self.key,
            needs=Needs(frozenset(self.resources), self.ends_when_spent),
            order=QueuePlace(self.rank, self.arrival, self.case.step),
            subject=self.case.subject,
            until=self.until - self.stood_still_s,
            amount_microusd=self.amount_microusd,
            event_type=self.case.event.type,
            charter_version=self.case.charter_version,
            is_first=self.case.step == 0,
            begins=begins(self.case),
            unanswered_microusd=self.case.returned_microusd,
        )


def new_row(case: Case, compiled: CompiledCharter, arrival: int, traceparent: str, now: datetime) -> WaitingRow:
    """The row of a step that comes now."""
    amount = _price_microusd(compiled, case, now)
    rank, problem = rank_of(compiled, case)
    needs = needs_of(compiled.charter, case, amount, is_urgent=is_urgent(rank))
    since = (case.waits_since or now).timestamp()
    return WaitingRow(
        case=case,
        arrival=arrival,
        rank=rank,
        since=since,
        until=since + compiled.charter.queue.wait_at_most,
        amount_microusd=amount,
        resources=tuple(sorted(needs.resources)),
        ends_when_spent=needs.ends_when_spent,
        gate="order",
        reason="",
        rank_problem=problem,
        traceparent=traceparent,
    )


def _price_microusd(compiled: CompiledCharter, case: Case, now: datetime) -> int:
    """The step's worst price. An unknown price counts as 0 here, because the step is refused when it is judged."""
    try:
        return worst_price_microusd(compiled, case, now)
    except UnknownPrice:
        return 0


class ClockRow(BaseModel):
    """The clock of an agent that has waiting steps and was stopped by an order."""

    stopped_since: float | None
    stood_still_s: float


def row_key(case: Case) -> str:
    """The key of the row of a step. Each return of the step has another key."""
    return key_of(case.agent, case.case_id, case.step, case.returns)


def key_of(agent: str, case_id: str, step: int, returns: int) -> str:
    """The key of the row of a step that was given back `returns` times."""
    return ids.composite_key(agent, case_id, str(step), str(returns))


def step_name(case_id: str, step: int) -> str:
    """Names a step, however often it was given back."""
    return f"{case_id}/{step}"
