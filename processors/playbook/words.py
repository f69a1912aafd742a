"""What a running playbook and the act stage tell each other.

`conversation.py` and `ending.py` make these; the act stage performs steps, sends timers as `Reminder` and records the
rest.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from schemas.records import BudgetEntry, Case, CaseStatus, Decision, Event, Permit, StepOutcome, StepStatus

UNDO_STATUS: dict[str, StepStatus] = {"done": "undone", "failed": "undo_failed", "unknown": "undo_failed"}


@dataclass(frozen=True, slots=True)
class RunStep:
    """A step to perform now. `step_id` is its idempotency key, `request` its rendered `with` as JSON values.

    `begun`: a process that is gone began the call, and nobody knows how it ended.
    """

    step_id: str
    position: int
    handler: str
    request: dict[str, Any]
    undo: bool
    begun: bool

    def outcome(
        self,
        status: Literal["done", "failed", "unknown"],
        *,
        started_at: datetime,
        latency_ms: int,
        result: str = "null",
        error: str | None = None,
        attempts: int = 1,
        from_cache: bool = False,
    ) -> StepOutcome:
        """The record of what came of it; an undo that was done is `undone`, any other is `undo_failed`."""
        return StepOutcome(
            step_id=self.step_id,
            position=self.position,
            handler=self.handler,
            status=UNDO_STATUS[status] if self.undo else status,
            result=result,
            error=error,
            attempts=attempts,
            started_at=started_at,
            latency_ms=latency_ms,
            from_cache=from_cache,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """What is recorded of an earlier run of the same decision.

    `intents` are ids of steps whose call was begun and has no recorded answer, not even one that is to be tried again.
    """

    outcomes: tuple[StepOutcome, ...] = ()
    intents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Timer:
    """A `Reminder` whose record is not encoded yet: send `record` to `topic` when it is due."""

    reminder_id: str
    subject: str
    due_at: datetime
    topic: str
    record: BudgetEntry | Event | Decision | Permit
    reason: str
    case_id: str


@dataclass(frozen=True, slots=True)
class Ending:
    """What the decision came to. `next_case` asks for money at once, `reminders` to the later stage.

    `reason` says why, where the status is not what the action meant to reach.
    """

    status: CaseStatus
    outcomes: tuple[StepOutcome, ...]
    next_case: Case | None = None
    reminders: tuple[Timer, ...] = ()
    reason: str = ""

    @property
    def following(self) -> Case | None:
        """The case as it goes on, at once or when it has waited."""
        asking = (timer.record.case for timer in self.reminders if isinstance(timer.record, BudgetEntry))
        return self.next_case or next(asking, None)
