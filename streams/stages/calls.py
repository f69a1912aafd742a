"""Calls to the outside, one for each step of a playbook: made, counted, or put off.

Asked by the act stage. A step whose handler takes our key needs no record of its intent: the decision in the log is
one, and the same call with the same key is safe. Others are recorded first. A system that does not answer is left alone
for a while; what wanted to go there waits through `later`, and one call finds out whether it is back.
"""

from dataclasses import replace
from datetime import timedelta

from processors import backoff, breaker
from processors.breaker import Report, Result
from processors.charter.playbooks import Handler, HttpHandler
from processors.playbook import RunStep
from schemas.records import StepOutcome
from streams.charters import Control
from streams.ports import Actions, Performed
from streams.runtime.changes import Changes
from streams.runtime.policy import Clock
from streams.runtime.stage import Commit
from streams.runtime.tables import FactTable
from streams.stages.answers import Answers
from streams.stages.circuits import Circuits
from streams.stages.errands import Errand, ProgressTable, RetryLater
from streams.stages.turns import Turns

HALTED_RETRY_S = 10
# Fewer than the four tries that a handler has unless its charter says else: of a system that is away no action fails.
BREAKER = breaker.Policy(failures_to_open=3)
# Whoever waits for a system that is away looks again at least this often.
AWAY_BACKOFF_AT_MOST = 3


class Calls:
    """Makes calls under their circuits and the orders of the moment."""

    def __init__(self, control: Control, actions: Actions, clock: Clock, progress: ProgressTable) -> None:
        self._circuits = Circuits("act", BREAKER, clock)
        self._turns = Turns(actions, clock)
        self._answers = Answers(clock)
        self._control = control
        self._actions = actions
        self._clock = clock
        self._progress = progress
        self._commit: Commit

    def bind(self, tables: dict[str, FactTable], commit: Commit) -> None:
        self._commit = commit
        self._circuits.bind(tables["circuits"])
        self._answers.bind(tables["answers"])

    def recovered(self) -> None:
        self._circuits.recovered()

    def tick(self, partition: int, changes: Changes) -> None:
        self._circuits.tick(partition, changes)
        self._answers.tick(partition, changes)

    async def make(self, errand: Errand, step: RunStep) -> StepOutcome:
        """What came of the step; it is in the errand. Raises `RetryLater` or `TurnNeeded` where nothing came of it."""
        known = self._answers.find(errand, step)
        if known is None:
            outcome = await self._made(errand, step)
        else:
            now = self._clock()
            outcome = step.outcome("done", started_at=now, latency_ms=0, result=known, attempts=0, from_cache=True)
        errand.kept = errand.kept.with_outcome(outcome)
        return outcome

    async def _made(self, errand: Errand, step: RunStep) -> StepOutcome:
        handler = errand.compiled.charter.handlers[step.handler]
        done = self._given_up(errand, step, handler)
        if done is None:
            await self._prepare(errand, step, handler)
        started_at = self._clock()
        if done is None:
            done = _in_doubt(step, handler, await self._call(errand, step, handler))
            self._put_off(errand, step, handler, done)
        if done.status == "done":
            self._answers.keep(errand, step, done.result)
        if done.status != "unknown":
            errand.kept = errand.kept.without_intent(step)
        return step.outcome(
            done.status,
            started_at=started_at,
            latency_ms=int((self._clock() - started_at).total_seconds() * 1000),
            result=done.result,
            error=done.error,
            attempts=errand.kept.attempts.get(step.step_id, 0) + 1,
        )

    # -- before the call

    def _given_up(self, errand: Errand, step: RunStep, handler: Handler) -> Performed | None:
        away = errand.kept.away
        if away is None or not isinstance(handler, HttpHandler):
            return None
        if self._clock() - away.since < timedelta(seconds=handler.give_up_after):
            return None
        error = f"{handler.connection} has been away since {away.since:%Y-%m-%d %H:%M:%S} UTC"
        return _in_doubt(step, handler, Performed("failed", error=error))

    async def _prepare(self, errand: Errand, step: RunStep, handler: Handler) -> None:
        """Make durable what must be: earlier outcomes, and the intent where a repeat would do harm."""
        self._check_orders(errand, step)
        shut_for_s = self._circuits.shut_for_s(handler.outside)
        if shut_for_s:
            raise self._away(errand, step, handler, shut_for_s)
        self._turns.take(errand, step)
        if not self._actions.repeatable(errand.compiled, step.handler) and step.step_id not in errand.kept.intents:
            errand.kept = errand.kept.with_intent(step)
        if errand.kept is not errand.saved:
            await self._progress.save(errand)

    def _away(self, errand: Errand, step: RunStep, handler: Handler, shut_for_s: float, said: str = "") -> RetryLater:
        errand.kept = errand.kept.with_wait(self._clock())
        waits = errand.kept.waits
        after_s = shut_for_s + backoff.delay_s(f"{step.step_id}:{waits}", min(waits, AWAY_BACKOFF_AT_MOST))
        return RetryLater(after_s, f"{handler.outside} is away" + (f": {said}" if said else ""))

    def _check_orders(self, errand: Errand, step: RunStep) -> None:
        """Just before every call: after an order to stop, nothing acts. What was done before it is kept."""
        order = self._control.halted(errand.decision.case.agent)
        if order is not None:
            self._not_made(errand, step)
            raise RetryLater(HALTED_RETRY_S, f"{order.kind} by {order.issued_by}: {order.reason}")

    def _not_made(self, errand: Errand, step: RunStep) -> None:
        if not step.begun:
            errand.kept = errand.kept.without_intent(step)

    # -- the call

    async def _call(self, errand: Errand, step: RunStep, handler: Handler) -> Performed:
        self._commit.alive()
        self._check_orders(errand, step)
        generation = self._circuits.admit(handler.outside)
        if generation is None:  # the one that finds out is under way
            self._not_made(errand, step)
            raise self._away(errand, step, handler, self._circuits.shut_for_s(handler.outside))
        report = Report(generation, Result.ABANDONED)  # stands when we are cancelled
        try:
            decision = errand.decision
            done = await self._actions.perform(errand.compiled, step, decision.subject, errand.traceparent)
            report = Report(generation, _SAYS[done.answered], done.retry_after_seconds or 0)
        finally:
            self._circuits.record(handler.outside, report)
        return done

    # -- after it

    def _put_off(self, errand: Errand, step: RunStep, handler: Handler, done: Performed) -> None:
        """A call that failed for now is made again: as often as its charter says while the other side is there, and
        for as long as it says while it is not.
        """
        if not done.retryable:
            return
        errand.kept = errand.kept.with_doubt(step) if done.status == "unknown" else errand.kept.without_intent(step)
        if self._circuits.is_open(handler.outside):
            raise self._away(errand, step, handler, self._circuits.shut_for_s(handler.outside), done.error or "")
        attempts = errand.kept.attempts.get(step.step_id, 0) + 1
        if attempts <= self._actions.retries(errand.compiled, step.handler):
            errand.kept = errand.kept.with_attempt(step)
            after_s = max(backoff.delay_s(f"{step.step_id}:{attempts}", attempts), done.retry_after_seconds or 0)
            raise RetryLater(after_s, done.error or "")


def _in_doubt(step: RunStep, handler: Handler, done: Performed) -> Performed:
    """A step that may have happened at an earlier call has not failed when a later one does; one that changes nothing
    leaves no doubt.
    """
    if handler.read_only:
        return replace(done, status="failed") if done.retryable else done
    return replace(done, status="unknown") if done.status == "failed" and step.begun else done


_SAYS = {True: Result.SUCCEEDED, False: Result.FAILED, None: Result.ABANDONED}
