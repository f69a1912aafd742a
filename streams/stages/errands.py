"""A decision on its way through the act stage, and what is remembered of it in `progress`."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, Field

from processors.charter.compiled import CompiledCharter
from processors.playbook import Ending, RunStep
from processors.provenance import Forged, case_sha256, payload_sha256
from schemas import ids
from schemas.records import Decision, StepOutcome
from streams.runtime.changes import Changes
from streams.runtime.policy import Clock
from streams.runtime.stage import Commit
from streams.runtime.tables import FactTable
from streams.stages.facts import stored

KEPT_S = 30 * 86_400


class Away(BaseModel):
    """The system that the next step calls does not answer: since when, and how often we came in vain."""

    since: datetime
    waits: int = 0


class Grant(BaseModel):
    """The last permit that came for a purpose. `used`: it was for one call, and that was made."""

    number: int
    slot_at: datetime
    used: bool = False


class Kept(BaseModel):
    """What is remembered of a decision. `at` is the playbook's now, so that running it again comes to the same.

    `attempts` counts, by step, the calls that failed while the other side was there. `payload_sha256` is what the
    decision's id stands for, `next_sha256` the case that its next step begins with; older programs kept neither.
    `replays` counts the times that a person had failed undos tried again.
    """

    at: datetime
    payload_sha256: str | None = None
    next_sha256: str | None = None
    outcomes: tuple[StepOutcome, ...] = ()
    intents: tuple[str, ...] = ()
    attempts: dict[str, int] = Field(default_factory=dict)
    approved_by: str | None = None
    away: Away | None = None
    replays: int = 0
    grants: dict[str, Grant] = Field(default_factory=dict)

    @property
    def waits(self) -> int:
        """How often in a row the other side was not there."""
        return self.away.waits if self.away else 0

    def with_intent(self, step: RunStep) -> Self:
        """The call of the step is about to be made."""
        return self.model_copy(update={"intents": (*self.intents, step.step_id)})

    def without_intent(self, step: RunStep) -> Self:
        """The call was not made, or did not happen: its intent is no open question."""
        if step.step_id not in self.intents:
            return self
        intents = tuple(intent for intent in self.intents if intent != step.step_id)
        return self.model_copy(update={"intents": intents})

    def with_doubt(self, step: RunStep) -> Self:
        """The call may have happened: its intent is an open question until the step is known to be done."""
        return self if step.step_id in self.intents else self.with_intent(step)

    def _on(self, **changes: Any) -> Self:
        """Whatever comes next is another call: what was used for the last one is no use to it."""
        unused = {purpose: grant for purpose, grant in self.grants.items() if not grant.used}
        return self.model_copy(update={"grants": unused, **changes})

    def with_attempt(self, step: RunStep) -> Self:
        """The other side is there, and the call is to be made again."""
        attempts = {**self.attempts, step.step_id: self.attempts.get(step.step_id, 0) + 1}
        return self._on(attempts=attempts, away=None)

    def with_wait(self, now: datetime) -> Self:
        """The other side is not there."""
        before = self.away or Away(since=now)
        return self._on(away=Away(since=before.since, waits=before.waits + 1))

    def with_grant(self, purpose: str, grant: Grant) -> Self:
        """A permit came, or was used. An older one, or the same again, changes nothing."""
        known = self.grants.get(purpose)
        if known is not None and (known.number, known.used) >= (grant.number, grant.used):
            return self
        return self.model_copy(update={"grants": {**self.grants, purpose: grant}})

    def with_replay(self, decision_id: str, letter_id: str | None) -> Self:
        """A person sent the letter about failed undos again: they are tried once more. Any other changes nothing."""
        failed = {outcome.step_id for outcome in self.outcomes if outcome.status == "undo_failed"}
        if not failed or letter_id != ids.undo_letter_id(decision_id, self.replays):
            return self
        outcomes = tuple(outcome for outcome in self.outcomes if outcome.step_id not in failed)
        attempts = {step_id: made for step_id, made in self.attempts.items() if step_id not in failed}
        return self._on(outcomes=outcomes, attempts=attempts, away=None, replays=self.replays + 1)

    def with_outcome(self, outcome: StepOutcome) -> Self:
        """The step is over."""
        return self._on(outcomes=(*self.outcomes, outcome), away=None)


@dataclass(slots=True)
class Errand:
    """One decision on its way. `place` is where in the log it came from this time; `kept` grows as it goes on, and
    `saved` is what of it was durable last. `read` is the decision as it came: what waits comes again as that.
    """

    decision: Decision
    compiled: CompiledCharter
    traceparent: str
    place: str
    changes: Changes
    kept: Kept
    saved: Kept = field(init=False)
    payload_sha256: str = field(init=False)
    read: Decision = field(init=False)

    def __post_init__(self) -> None:
        self.read = self.decision
        self.payload_sha256 = payload_sha256(self.decision)
        self.saved = self.kept


class RetryLater(Exception):
    """The step did not happen and may later; what is known is in the errand."""

    def __init__(self, after_s: float, reason: str) -> None:
        super().__init__(reason)
        self.after_s = after_s


class ProgressTable:
    """What is kept of each decision, by its id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._table: FactTable
        self._commit: Commit

    def bind(self, table: FactTable, commit: Commit) -> None:
        self._table, self._commit = table, commit

    def read(self, partition: int, decision_id: str) -> Kept:
        """What is known of a decision; nothing, the first time."""
        value = self._table.read(partition, decision_id)
        return Kept(at=self._clock()) if value is None else Kept.model_validate_json(value)

    def check_step_before(self, errand: Errand) -> None:
        """A case goes on from where it was left here, and from nowhere else. Raises `Forged`."""
        case = errand.decision.case
        if case.step == 0:
            return
        value = self._table.read(errand.changes.partition, ids.decision_id(case.case_id, case.step - 1))
        before = None if value is None else Kept.model_validate_json(value)
        if before is None or (before.payload_sha256 is not None and before.next_sha256 != case_sha256(case)):
            raise Forged(f"step {case.step} does not follow from what was done in step {case.step - 1}")

    def leave_off(self, errand: Errand, ending: Ending) -> None:
        """Remember how it ended, and what the case may go on with, for as long as that can take."""
        if ending.following is not None:
            errand.kept = errand.kept.model_copy(update={"next_sha256": case_sha256(ending.following)})
        self.remember(errand, until=max((timer.due_at for timer in ending.reminders), default=None))

    def remember(self, errand: Errand, changes: Changes | None = None, until: datetime | None = None) -> None:
        """Make what is known part of what the record comes to, or of other changes."""
        now = self._clock()
        expires_at = max(now, until or now).timestamp() + KEPT_S
        kept = errand.kept.model_copy(update={"payload_sha256": errand.payload_sha256})
        value = stored(kept)
        (changes or errand.changes).put(self._table, errand.decision.decision_id, value, expires_at)

    async def save(self, errand: Errand) -> None:
        """Make what is known durable before anything else happens."""
        durable = errand.changes.empty()
        self.remember(errand, durable)
        await self._commit(durable)
        errand.saved = errand.kept

    def tick(self, partition: int, changes: Changes) -> None:
        """Drop what was done long ago."""
        for key in self._table.expired(partition, self._clock().timestamp()):
            changes.forget(self._table, key.decode())
