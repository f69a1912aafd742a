"""Act: a decision's playbook is run, each step once, each outcome kept.

Trusts nobody: the charter's allowlist, parameters, rules and gates are asked again here, and the kill switch before
every call. `progress` keeps what was begun and what came of it. A step whose handler takes our key needs no record of
its intent: the decision in the log is one, and the same call with the same key is safe. Others are recorded first.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import orjson
from pydantic import BaseModel

from processors import gate, playbook
from processors.charter.compiled import CompiledCharter
from processors.playbook import Ending, Progress, RunStep
from processors.replies import AgentDecision
from processors.verification import verify
from schemas import ids
from schemas.records import ApprovalReply, Decision, Reminder, StepOutcome
from schemas.topics import ACT, APPROVALS, BUDGET, BY_NAME, DECIDE, LATER
from streams.charters import Control
from streams.ports import Actions
from streams.runtime.changes import Changes
from streams.runtime.delivery import Delivery
from streams.runtime.guard import Route
from streams.runtime.policy import Clock
from streams.runtime.stage import Commit
from streams.runtime.tables import FactTable
from streams.stages import audit
from streams.stages.approvals import Approvals
from streams.stages.decide import goes_on, settlement

PROGRESS_KEPT_S = 30 * 86_400
RETRY_S = (5, 30, 120, 600, 1800)
HALTED_RETRY_S = 10


class Kept(BaseModel):
    """What is remembered of a decision. `at` is the playbook's now, so that running it again comes to the same."""

    at: datetime
    outcomes: tuple[StepOutcome, ...] = ()
    intents: tuple[str, ...] = ()
    attempts: dict[str, int] = {}
    approved_by: str | None = None


class RetryLater(Exception):
    """The step did not happen and may later. `cause` names this wait, so that the same one sets one timer."""

    def __init__(self, after_s: int, reason: str, cause: str) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Errand:
    """One decision on its way through the stage. `place` is where in the log it came from this time."""

    decision: Decision
    compiled: CompiledCharter
    traceparent: str
    place: str
    changes: Changes


class Act:
    """Handlers of the act stage."""

    name = "act"
    converses = True
    table_names = ("progress", "approvals")

    def __init__(self, control: Control, actions: Actions, clock: Clock) -> None:
        self._control = control
        self._actions = actions
        self._clock = clock
        self._approvals = Approvals(clock)
        self._progress: FactTable
        self._commit: Commit

    def routes(self) -> tuple[Route, ...]:
        return (Route(ACT, self.act), Route(APPROVALS, self.answered))

    def bind(self, tables: dict[str, FactTable], commit: Commit) -> None:
        self._progress, self._commit = tables["progress"], commit
        self._approvals.bind(tables)

    def recovered(self) -> None:
        """Nothing is derived from the table."""

    def tick(self, partition: int, changes: Changes) -> None:
        """Drop what was done long ago."""
        for key in self._progress.expired(partition, self._clock().timestamp()):
            changes.forget(self._progress, key.decode())

    async def close(self) -> None:
        await self._actions.close()

    # -- what comes in

    async def act(self, delivery: Delivery[Decision], changes: Changes) -> None:
        """One decision: done, held for a person, or refused."""
        errand = self._errand(delivery.record, delivery, changes)
        await self._proceed(errand, self._kept(errand))

    async def answered(self, delivery: Delivery[ApprovalReply], changes: Changes) -> None:
        """A person's answer to a decision that is held here."""
        decision = self._approvals.take(delivery, changes, self._clock())
        if decision is not None:
            errand = self._errand(decision, delivery, changes)
            await self._proceed(errand, self._kept(errand).model_copy(update={"approved_by": delivery.record.person}))

    def _errand(
        self, decision: Decision, delivery: Delivery[Decision] | Delivery[ApprovalReply], changes: Changes
    ) -> Errand:
        compiled = self._control.charter(decision.case.agent, decision.case.charter_version)
        place = f"{delivery.topic.name}:{delivery.partition}:{delivery.offset}"
        return Errand(decision, compiled, delivery.traceparent, place, changes)

    async def _proceed(self, errand: Errand, kept: Kept) -> None:
        decision = errand.decision
        disposed = _checked_again(decision, errand.compiled, approved=kept.approved_by is not None)
        if disposed.disposition == "needs_approval":
            self._approvals.hold(decision, disposed.reason, errand.traceparent, errand.changes)
        elif disposed.disposition == "refused":
            self._end(errand, kept, Ending("refused", (), reason=disposed.reason))
        else:
            checked = decision.model_copy(update={"disposition": disposed.disposition})
            await self._run(replace(errand, decision=checked), kept)

    # -- running a playbook

    async def _run(self, errand: Errand, kept: Kept) -> None:
        flow = playbook.run(errand.decision, errand.compiled, Progress(kept.outcomes, kept.intents), kept.at)
        saved = kept
        try:
            step = next(flow)
            while True:
                self._check_orders(errand, kept)
                kept = saved = await self._prepare(errand, step, kept, saved)
                kept, outcome = await self._perform(errand, step, kept)
                step = flow.send(outcome)
        except StopIteration as end:
            self._end(errand, kept, end.value)
        except RetryLater as wait:
            flow.close()
            self._come_again(errand, wait)

    def _check_orders(self, errand: Errand, kept: Kept) -> None:
        """Just before every call: after an order to stop, nothing acts. What was done before it is kept."""
        order = self._control.halted(errand.decision.case.agent)
        if order is not None:
            self._remember(errand.decision, kept, errand.changes)
            reason = f"{order.kind} by {order.issued_by}: {order.reason}"
            raise RetryLater(HALTED_RETRY_S, reason, cause=errand.place)

    async def _prepare(self, errand: Errand, step: RunStep, kept: Kept, saved: Kept) -> Kept:
        """Make durable what must be, before the call: earlier outcomes, and the intent where a repeat would do harm."""
        if not self._actions.repeatable(errand.compiled, step.handler) and step.step_id not in kept.intents:
            kept = kept.model_copy(update={"intents": (*kept.intents, step.step_id)})
        if kept is not saved:
            durable = errand.changes.empty()
            self._remember(errand.decision, kept, durable)
            await self._commit(durable)
        return kept

    async def _perform(self, errand: Errand, step: RunStep, kept: Kept) -> tuple[Kept, StepOutcome]:
        """The call, and what is known after it. Raises `RetryLater` with what is known made part of the changes."""
        self._commit.alive()
        started_at, attempts = self._clock(), kept.attempts.get(step.step_id, 0) + 1
        done = await self._actions.perform(errand.compiled, step, errand.decision.subject, errand.traceparent)
        if done.retryable and attempts <= self._actions.retries(errand.compiled, step.handler):
            self._remember(errand.decision, _tried(kept, step, attempts), errand.changes)
            after_s = max(RETRY_S[min(attempts, len(RETRY_S)) - 1], done.retry_after_seconds or 0)
            raise RetryLater(after_s, done.error or "", cause=f"{step.step_id}:{attempts}")
        outcome = step.outcome(
            done.status,
            started_at=started_at,
            latency_ms=int((self._clock() - started_at).total_seconds() * 1000),
            result=done.result,
            error=done.error,
            attempts=attempts,
        )
        return kept.model_copy(update={"outcomes": (*kept.outcomes, outcome)}), outcome

    # -- what goes out

    def _end(self, errand: Errand, kept: Kept, ending: Ending) -> None:
        decision, changes, now = errand.decision, errand.changes, self._clock()
        self._remember(decision, kept, changes)
        changes.audit(audit.acted(decision, ending.outcomes, ending.status, ending.reason, errand.traceparent, now))
        for timer in ending.reminders:
            changes.emit(LATER, _reminder(timer, errand))
        if ending.next_case is not None:
            changes.emit(DECIDE, ending.next_case)
        waits = any(timer.topic == DECIDE.name for timer in ending.reminders)
        if decision.case.reserved_microusd and goes_on(decision) and ending.next_case is None and not waits:
            changes.emit(BUDGET, settlement(decision, now))

    def _come_again(self, errand: Errand, wait: RetryLater) -> None:
        decision = errand.decision
        timer = playbook.Timer(
            reminder_id=ids.reminder_id("retry", decision.decision_id, wait.cause),
            subject=decision.subject,
            due_at=self._clock() + timedelta(seconds=wait.after_s),
            topic=ACT.name,
            record=decision,
            reason=f"again: {wait}",
            case_id=decision.case.case_id,
        )
        errand.changes.emit(LATER, _reminder(timer, errand))

    # -- what is kept

    def _kept(self, errand: Errand) -> Kept:
        value = self._progress.read(errand.changes.partition, errand.decision.decision_id)
        return Kept(at=self._clock()) if value is None else Kept.model_validate_json(value)

    def _remember(self, decision: Decision, kept: Kept, changes: Changes) -> None:
        expires_at = self._clock().timestamp() + PROGRESS_KEPT_S
        changes.put(self._progress, decision.decision_id, kept.model_dump_json().encode(), expires_at)


def _checked_again(decision: Decision, compiled: CompiledCharter, *, approved: bool) -> gate.Disposed:
    """The gates' answer by the charter alone; a vote that went wrong in the decide stage still asks a person."""
    if decision.disposition == "refused":
        return gate.Disposed("refused", decision.disposition_reason)
    answer = AgentDecision(
        action=decision.action,
        confidence=decision.confidence,
        parameters=orjson.loads(decision.parameters),
        reasoning=decision.reasoning,
    )
    rules = {rule.policy.name for rule in compiled.rules}
    others = tuple(verdict for verdict in decision.verdicts if verdict.rule not in rules)
    verdicts = (*verify(compiled, decision.case, answer), *others)
    disposed = gate.dispose(compiled, decision.case, answer, verdicts, approved=approved)
    if disposed.disposition == "execute" and decision.disposition == "needs_approval" and not approved:
        return gate.Disposed("needs_approval", decision.disposition_reason)
    return disposed


def _tried(kept: Kept, step: RunStep, attempts: int) -> Kept:
    """One more attempt that was answered, so that its intent is no open question any more."""
    intents = tuple(intent for intent in kept.intents if intent != step.step_id)
    return kept.model_copy(update={"attempts": {**kept.attempts, step.step_id: attempts}, "intents": intents})


def _reminder(timer: playbook.Timer, errand: Errand) -> Reminder:
    return Reminder(
        reminder_id=timer.reminder_id,
        subject=timer.subject,
        due_at=timer.due_at,
        topic=BY_NAME[timer.topic].name,
        key=timer.subject,
        value=errand.changes.codec.encode(timer.record),
        traceparent=errand.traceparent,
        reason=timer.reason,
        case_id=timer.case_id,
    )
