"""The messages between a running playbook and the act stage.

`flow.py` and `ending.py` create these; the act stage performs steps, emits timers as `Timer` records and records the
outcomes.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from nightdesk.schemas.records import (
    BudgetEntry,
    CancelCondition,
    Case,
    CaseStatus,
    Decision,
    Event,
    RateRequest,
    StepOutcome,
    StepStatus,
)

UNDO_STATUS: dict[str, StepStatus] = {"done": "undone", "failed": "undo_failed", "unknown": "undo_failed"}


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of one call of a step, as its handler reports it. `result` is JSON text of at most 64 kB.

    `done`: it happened. `failed`: it did not happen. `unknown`: it may have happened. `retryable`: the same call may be
    made again later, and then it happens once at most. `answered` says whether the other side responded and works; None
    if it was not called. `absent`: the other side was asked for an earlier call and has none; `absence.py` decides when
    that proves something.
    """

    status: Literal["done", "failed", "unknown"]
    result: str = "null"
    error: str | None = None
    retryable: bool = False
    retry_after_seconds: float | None = None  # as the other side asked
    answered: bool | None = None
    absent: bool = False


@dataclass(frozen=True, slots=True)
class RunStep:
    """A step to perform now. `step_id` is its idempotency key, `request` its rendered `with` as JSON values.

    `begun`: an earlier process started the call, and nobody knows how it ended. `rehearsed`: the call is not made, and
    its result is the request that would have been sent.
    """

    step_id: str
    position: int
    handler: str
    request: dict[str, Any]
    undo: bool
    begun: bool
    rehearsed: bool = False

    def outcome(
        self, result: StepResult, *, started_at: datetime, latency_ms: int, attempts: int = 1, from_cache: bool = False
    ) -> StepOutcome:
        """The record of the result; an undo is `undone` or `undo_failed`."""
        return StepOutcome(
            step_id=self.step_id,
            position=self.position,
            handler=self.handler,
            status=UNDO_STATUS[result.status] if self.undo else result.status,
            result=result.result,
            error=result.error,
            attempts=attempts,
            started_at=started_at,
            latency_ms=latency_ms,
            from_cache=from_cache,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """The recorded part of an earlier run of the same decision.

    `intents` are ids of steps whose call was started and has no recorded result, not even one that will be retried.
    `runs`: how often the charter had the action executed again. `earlier` has the outcomes of those runs and of replays
    that do not count any more, because the steps failed or were undone. `called_ms` is how long its calls took, those
    that failed and will be retried included.
    """

    outcomes: tuple[StepOutcome, ...] = ()
    intents: tuple[str, ...] = ()
    runs: int = 0
    earlier: tuple[StepOutcome, ...] = ()
    called_ms: int = 0


@dataclass(frozen=True, slots=True)
class TimerRequest:
    """A `Timer` whose record is not encoded yet: send `record` to `topic` when it is due, unless it is cancelled."""

    timer_id: str
    subject: str
    due_at: datetime
    topic: str
    record: BudgetEntry | Event | Case | Decision | RateRequest
    reason: str
    case_id: str
    cancel_when: tuple[CancelCondition, ...] = ()
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """What follows the decision. `next_case` asks for money at once, `timers` go to the timers stage.

    `reason` explains a status that the action did not intend. `dead_letter` is the class of the error, if the decision
    becomes a dead letter. With `retry_after_s` the action is executed again after that time instead.
    """

    status: CaseStatus
    outcomes: tuple[StepOutcome, ...]
    next_case: Case | None = None
    timers: tuple[TimerRequest, ...] = ()
    reason: str = ""
    dead_letter: str = ""
    retry_after_s: int | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the action failed or its result is unknown, whoever gets the case now."""
        return any(outcome.status in ("failed", "unknown") for outcome in self.outcomes)

    def without_following(self) -> "Ending":
        """The same ending, without a next step, for a case that has already continued."""
        timers = tuple(timer for timer in self.timers if not isinstance(timer.record, BudgetEntry))
        return replace(self, next_case=None, timers=timers)

    @property
    def following(self) -> Case | None:
        """The case's next step, at once or after a wait."""
        asking = (timer.record.case for timer in self.timers if isinstance(timer.record, BudgetEntry))
        return self.next_case or next(asking, None)
