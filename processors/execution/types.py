"""The value that the transition table transforms with each event.

An `Execution` lives while one record is handled, its `state` for as long as the decision is known.
"""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.charter.handlers import CharterHandler
from nightdesk.processors.execution.state import ExecutionState
from nightdesk.processors.playbook import RunStep, StepResult
from nightdesk.processors.provenance import payload_sha256
from nightdesk.processors.quantities import Rate
from nightdesk.schemas.records import Decision


class Phase(StrEnum):
    RECEIVED = "received"  # a record about the decision was read, and nothing has followed from it yet
    RUNNING = "running"  # the playbook chooses the next step
    PREPARING = "preparing"  # orders are confirmed, and then whatever else the call needs, one after another
    TAKING_SLOT = "taking_slot"  # this worker spaces the calls of a limit
    SAVING = "saving"  # the state becomes durable
    CALLING = "calling"  # the call is made
    LEFT = "left"  # held, waiting or ended: only another record continues the decision


class StepPolicy(NamedTuple):
    """The settings for the calls of a step: its handler in the charter, and the rate limit of the system that
    it calls.
    """

    handler: CharterHandler
    repeatable: bool
    retries: int
    connection_rate: Rate | None = None


class RateUse(NamedTuple):
    """A limit that a call falls under. `purpose` identifies what a grant is for; `once`: for this call alone."""

    limit: str
    rate: Rate
    purpose: str
    once: bool


class StepRun(NamedTuple):
    """The current step. `uses` are the limits under which no slot is taken yet, `result` is the result of its call."""

    step: RunStep
    policy: StepPolicy
    uses: tuple[RateUse, ...] = ()
    started_at: datetime | None = None
    result: StepResult | None = None

    def having(
        self,
        *,
        uses: tuple[RateUse, ...] | None = None,
        started_at: datetime | None = None,
        result: StepResult | None = None,
    ) -> "StepRun":
        """A copy with these fields changed. Several times as fast as `_replace`."""
        return StepRun(
            self.step,
            self.policy,
            self.uses if uses is None else uses,
            started_at or self.started_at,
            result or self.result,
        )


class Execution(NamedTuple):
    """One decision while a record about it is handled.

    `received` is the decision as it was read, and as it comes back after a wait. `saved` is the durable part of
    `state`. `paused_s` is the total time in which orders held such decisions; a wait subtracts what was added since it
    began.
    """

    received: Decision
    decision: Decision
    compiled: CompiledCharter
    payload_sha256: str
    state: ExecutionState
    saved: ExecutionState
    paused_s: float = 0.0
    phase: Phase = Phase.RECEIVED
    current: StepRun | None = None

    @property
    def is_new(self) -> bool:
        """Whether no state of the decision was stored before this record."""
        return self.saved.payload_sha256 is None

    def having(
        self,
        *,
        decision: Decision | None = None,
        compiled: CompiledCharter | None = None,
        state: ExecutionState | None = None,
        saved: ExecutionState | None = None,
        phase: Phase | None = None,
        current: StepRun | None = None,
    ) -> "Execution":
        """A copy with these fields changed. Faster than `_replace`, and every event needs it."""
        return tuple.__new__(
            Execution,
            (
                self.received,
                decision or self.decision,
                compiled or self.compiled,
                self.payload_sha256,
                state or self.state,
                saved or self.saved,
                self.paused_s,
                phase or self.phase,
                current or self.current,
            ),
        )


def begin(decision: Decision, compiled: CompiledCharter, state: ExecutionState, paused_s: float = 0.0) -> Execution:
    """The execution as a record about the decision is read; `state` is from the table."""
    return Execution(decision, decision, compiled, payload_sha256(decision), state, state, paused_s)
