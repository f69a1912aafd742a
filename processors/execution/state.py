"""The stored state of a decision while it is executed. Pure.

The act stage keeps one `ExecutionState` for each decision in the table `progress`. Only the transition table changes
it.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, Field

from nightdesk.processors.playbook.absence import Moment, first_missed_at
from nightdesk.schemas.records import StepOutcome


class Outage(BaseModel):
    """The system that the next step calls does not answer: since when, and how many calls could not be made. `paused_s`
    are the agent's paused seconds at the beginning.
    """

    since: datetime
    waits: int = 0
    paused_s: float = 0.0

    def waited_s(self, now: datetime, paused_s: float) -> float:
        """How long we waited for the system, without the time in which an order forbade the call."""
        return (now - self.since).total_seconds() - max(0.0, paused_s - self.paused_s)


class RetryPause(BaseModel):
    """A failed action is executed again `after_s` seconds after `since`."""

    since: datetime
    after_s: float

    def left_s(self, now: datetime) -> float:
        """Seconds until it is executed again."""
        return max(0.0, self.after_s - (now - self.since).total_seconds())


class RateGrant(BaseModel):
    """The last grant for a purpose. `used`: it was for one call, and that was made. `paused_s` are the agent's paused
    seconds when it came.
    """

    number: int
    slot_at: datetime
    used: bool = False
    paused_s: float = 0.0


def _dated(intents: Any) -> Any:
    """Older programs kept a list of step ids."""
    return dict.fromkeys(intents) if isinstance(intents, list | tuple) else intents


class ExecutionState(BaseModel):
    """The stored state of a decision. `at` is the playbook's current time, so that running it again gives the same
    result. While the decision waits (`is_left`) it has had no effect, so `at` is set again when it comes back: a
    follow-up is due relative to the answer and not to the decision. `came_at` is when the decision was first read.

    `intents` has, for each step, when its last call without a known end was sent (None: an older version did not store
    it). `attempts` counts, for each step, the calls that failed although the other side answered. `payload_sha256` is
    the hash of what the decision's id identifies, `next_sha256` that of the case that begins the next step; older
    versions stored neither. `replays` counts how often a person replayed the decision's dead letter, whose id is
    `dead_letter_id`. `missed_at` has, for each step, since when one process gets the answer that the other side has no
    such call. `runs` counts how often the charter had the action executed again, `pause` is the wait before the next
    run, and `earlier` has the outcomes that do not count any more. `halts` counts how often the decision began to wait
    for an order. `told` has, for each cause of a wait, the record that caused the one audit record about it, until the
    step is over. `called_ms` is how long its calls took, including failed ones. `approved_at` is when a person approved
    it, `ended_at` when it ended: a record that is redelivered later is evaluated as of then, so that it gives exactly
    the same end. `ended_restricted`: its charter had been made stricter by then, by the version `ended_under` (an older
    version of Nightdesk did not store which).
    """

    at: datetime
    payload_sha256: str | None = None
    next_sha256: str | None = None
    outcomes: tuple[StepOutcome, ...] = ()
    intents: Annotated[dict[str, datetime | None], BeforeValidator(_dated)] = Field(default_factory=dict)
    attempts: dict[str, int] = Field(default_factory=dict)
    approved_by: str | None = None
    approved_at: datetime | None = None
    ended_at: datetime | None = None
    ended_restricted: bool = False
    ended_under: str = ""
    outage: Outage | None = None
    replays: int = 0
    grants: dict[str, RateGrant] = Field(default_factory=dict)
    missed_at: dict[str, Moment] = Field(default_factory=dict)
    dead_letter_id: str | None = None
    runs: int = 0
    pause: RetryPause | None = None
    earlier: tuple[StepOutcome, ...] = ()
    came_at: datetime | None = None
    is_left: bool = False
    halts: int = 0
    told: dict[str, str] = Field(default_factory=dict)
    called_ms: int = 0

    @property
    def is_begun(self) -> bool:
        """Whether any step was done or may have been."""
        return bool(self.outcomes or self.intents)

    @property
    def waits(self) -> int:
        """How often in a row the other side did not answer."""
        return self.outage.waits if self.outage else 0

    def attempt(self, step_id: str) -> int:
        """The number of the step's next call, counted from 1."""
        return self.attempts.get(step_id, 0) + 1

    def as_of(self, now: datetime) -> Self:
        """The same state at `now`, without times in the future: a wrong clock wrote them."""
        intents = {step_id: min(at or now, now) for step_id, at in self.intents.items()}
        outage = self.outage and self.outage.model_copy(update={"since": min(self.outage.since, now)})
        pause = self.pause and self.pause.model_copy(update={"since": min(self.pause.since, now)})
        at = now if self.is_left else self.at
        return self.model_copy(update={"at": at, "intents": intents, "outage": outage, "pause": pause})

    def with_payload(self, payload_sha256: str) -> Self:
        """The state with the hash of what the decision's id identifies; the same object if it has one."""
        if self.payload_sha256 == payload_sha256:
            return self
        return self.model_copy(update={"payload_sha256": payload_sha256})

    def with_intent(self, step_id: str, now: datetime) -> Self:
        """The state before the call of the step is made."""
        intents, missed_at = {**self.intents, step_id: now}, self._missed_before(step_id)
        return self.model_copy(update={"intents": intents, "missed_at": missed_at})

    def without_intent(self, step_id: str) -> Self:
        """The state after the call was not made or did not happen, so that its intent is closed."""
        if step_id not in self.intents:
            return self
        intents = {known: at for known, at in self.intents.items() if known != step_id}
        return self.model_copy(update={"intents": intents, "missed_at": self._missed_before(step_id)})

    def with_missed(self, step_id: str, now: Moment) -> Self:
        """The state after the other side answered that it has no such call."""
        first = first_missed_at(self.missed_at.get(step_id), now)
        return self.model_copy(update={"missed_at": {**self.missed_at, step_id: first}})

    def _missed_before(self, step_id: str) -> dict[str, Moment]:
        """The state without `missed_at` of the step: a new call has its own wait."""
        return {known: at for known, at in self.missed_at.items() if known != step_id}

    def with_open_intent(self, step_id: str, now: datetime) -> Self:
        """The state after the call may have happened: its intent stays open until the step is known to be done."""
        return self if step_id in self.intents else self.with_intent(step_id, now)

    def with_attempt(self, step_id: str) -> Self:
        """The state after a failed call that the other side answered, and that will be made again."""
        return self._before_another_call(attempts={**self.attempts, step_id: self.attempt(step_id)}, outage=None)

    def with_wait(self, now: datetime, paused_s: float) -> Self:
        """The state after the other side did not answer."""
        before = self.outage or Outage(since=now, paused_s=paused_s)
        return self._before_another_call(outage=before.model_copy(update={"waits": before.waits + 1}))

    def with_call(self, latency_ms: int) -> Self:
        """The state after a call that does not end its step."""
        return self.model_copy(update={"called_ms": self.called_ms + latency_ms})

    def left(self, *, to_wait: bool) -> Self:
        """The state as the decision waits or has ended."""
        return self if self.is_left == to_wait else self.model_copy(update={"is_left": to_wait})

    def ended(self, now: datetime, restricted_by: str, **changes: str) -> Self:
        """The state after the end of the decision, with further `changes`; if it had ended before, only with those."""
        update: dict[str, object] = {**changes}
        if self.ended_at is None:
            update |= {"ended_at": now, "ended_restricted": bool(restricted_by), "ended_under": restricted_by}
        return self.model_copy(update=update) if update else self

    def with_halt(self) -> Self:
        """The state as the decision begins to wait for an order. If it waits for a system afterwards, that is told
        again, because the end of the order was told in between.
        """
        return self.model_copy(update={"halts": self.halts + 1, "told": {}})

    def with_grant(self, purpose: str, grant: RateGrant) -> Self:
        """The state after a grant came or was used. An older grant, or the same again, changes nothing."""
        known = self.grants.get(purpose)
        if known is not None and (known.number, known.used) >= (grant.number, grant.used):
            return self
        return self.model_copy(update={"grants": {**self.grants, purpose: grant}})

    def with_replay(self, letter_id: str | None) -> Self:
        """The state after a person replayed the decision's dead letter: failed undos are tried once more, otherwise the
        action is executed again. Any other letter changes nothing, and neither does the same letter a second time.
        """
        if letter_id is None or letter_id != self.dead_letter_id:
            return self
        replayed = self.model_copy(update={"replays": self.replays + 1, "dead_letter_id": None, "ended_at": None})
        failed = {outcome.step_id for outcome in self.outcomes if outcome.status == "undo_failed"}
        if not failed:
            return replayed.begun_anew()
        outcomes = tuple(outcome for outcome in self.outcomes if outcome.step_id not in failed)
        return replayed._before_another_call(outcomes=outcomes, attempts=self._attempts_without(failed), outage=None)

    def with_retry(self, now: datetime, after_s: float) -> Self:
        """The state as the action is executed again after a pause that the charter sets. `at` is when the new run
        begins.
        """
        pause, at = RetryPause(since=now, after_s=after_s), now + timedelta(seconds=after_s)
        return self.begun_anew().model_copy(update={"runs": self.runs + 1, "pause": pause, "at": at})

    def begun_anew(self) -> Self:
        """The state at the start of a new run: completed steps stay completed, and calls that may have happened stay
        open.
        """
        undone = {outcome.position for outcome in self.outcomes if outcome.status == "undone"}
        kept = tuple(o for o in self.outcomes if o.status == "done" and o.position not in undone)
        over = tuple(o.model_copy(update={"result": "null"}) for o in self.outcomes if o not in kept)
        in_doubt = {o.step_id: self.at for o in over if o.status == "unknown"}
        attempts = self._attempts_without({o.step_id for o in over})
        changes = {"outcomes": kept, "earlier": (*self.earlier, *over), "intents": {**in_doubt, **self.intents}}
        return self._before_another_call(**changes, attempts=attempts, outage=None, told={})

    def _attempts_without(self, step_ids: set[str]) -> dict[str, int]:
        return {step_id: made for step_id, made in self.attempts.items() if step_id not in step_ids}

    def with_outcome(self, outcome: StepOutcome) -> Self:
        """The state after the step and its last call ended."""
        called_ms = self.called_ms + outcome.latency_ms
        outcomes = (*self.outcomes, outcome)
        return self._before_another_call(outcomes=outcomes, outage=None, told={}, called_ms=called_ms)

    def _before_another_call(self, **changes: Any) -> Self:
        """The state without grants that were used for the last call, because the next call needs its own."""
        unused = {purpose: grant for purpose, grant in self.grants.items() if not grant.used}
        return self.model_copy(update={"grants": unused, **changes})
