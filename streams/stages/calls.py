"""Performs what the transition table commands for one step of a playbook: confirm orders, save, call the outside.

`processors/execution` decides; this module performs its commands and feeds back the results. A step whose handler takes
our idempotency key needs no intent, because the decision is in the log and the same call with the same key is safe. For
any other step the intent is stored first. A system that does not answer is not called for a while: decisions wait
through the timers stage, and one call probes whether it is back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from nightdesk.processors.breaker import CallReport, Result
from nightdesk.processors.execution import BREAKER, advance, current_step
from nightdesk.processors.execution.commands import Command, ConfirmOrders, Continue, MakeCall, Save, TakeSlot
from nightdesk.processors.execution.events import CallEnded, CircuitShut, Event, OrdersConfirmed, Saved, StepDue
from nightdesk.processors.playbook import RunStep
from nightdesk.processors.playbook.absence import Moment
from nightdesk.schemas.trace_context import caused_by
from nightdesk.streams.api import Clock, Commit, StagedWrites, SteadyClock
from nightdesk.streams.calls_under_way import CallUnderWay
from nightdesk.streams.control import Control
from nightdesk.streams.ports import Actions
from nightdesk.streams.stages.circuits import Circuits
from nightdesk.streams.stages.execution import ExecutionTask, ProgressTable
from nightdesk.streams.stages.halted import Halted
from nightdesk.streams.stages.rate_limiter import RateLimiter
from nightdesk.streams.stages.response_cache import ResponseCache

# As many as there are connections. A further call waits here and not for a connection, so that its orders are confirmed
# after the wait.
CALLS_AT_ONCE = 1000
_REPORTS = {True: Result.SUCCEEDED, False: Result.FAILED, None: Result.ABANDONED}


class Calls:
    """Makes calls that their circuits, the rate limits and the present orders allow."""

    def __init__(
        self,
        control: Control,
        actions: Actions,
        clock: Clock,
        progress: ProgressTable,
        halted: Halted,
        steady: SteadyClock,
    ) -> None:
        self._circuits = Circuits("act", BREAKER, clock)
        self._rate_limiter = RateLimiter()
        self._response_cache = ResponseCache(clock)
        self._control = control
        self._actions = actions
        self._clock = clock
        self._steady = steady
        self._progress = progress
        self._halted = halted
        self._room = asyncio.Semaphore(CALLS_AT_ONCE)
        self._commit: Commit
        self.tables = (self._circuits.table, self._response_cache.table)
        self._performers: Mapping[type, Callable[..., Awaitable[Event]]] = {
            ConfirmOrders: self._confirm_orders,
            TakeSlot: self._take_slot,
            Save: self._save,
            MakeCall: self._make_call,
        }

    def bind(self, commit: Commit) -> None:
        self._commit = commit

    def recovered(self) -> None:
        self._circuits.recovered()

    def tick(self, partition: int, writes: StagedWrites) -> None:
        self._circuits.tick(partition, writes)

    def advance(self, task: ExecutionTask, event: Event) -> Command:
        """Feed an event into the transition table. Returns the next command. Only this replaces the state of an
        execution.
        """
        task.execution, command = advance(task.execution, event, self._clock())
        return command

    async def run_step(self, task: ExecutionTask, step: RunStep) -> Command:
        """Perform the commands of one step. Returns the command that continues the playbook, or the one that finishes
        with the record.
        """
        if step.rehearsed:
            shown = self._actions.preview(task.execution.compiled, step, task.execution.decision.subject)
            return Continue(step.outcome(shown, started_at=self._clock(), latency_ms=0, attempts=0))
        policy = self._actions.policy(task.execution.compiled, step.handler)
        cached = self._response_cache.find(task, step, policy.handler)
        command = self.advance(task, StepDue(step, policy, cached))
        if not isinstance(command, ConfirmOrders):
            return command
        with self._control.calls.begin(step.step_id, task.execution.decision.case.agent) as call:
            async with self._room:
                while (perform := self._performers.get(type(command))) is not None:
                    command = self.advance(task, await perform(task, call, command))
            result = current_step(task.execution).result
            if result is not None:
                call.fate = result.status
        return command

    # -- commands

    async def _confirm_orders(self, task: ExecutionTask, _call: CallUnderWay, _command: ConfirmOrders) -> Event:
        """Wait until the orders are confirmed, then find the one that holds the decision."""
        await self._control.confirmation.wait()
        order = self._halted.order_against(task.scope)
        return OrdersConfirmed(
            order,
            self._circuits.shut_for_s(current_step(task.execution).policy.handler.outside),
            is_waiting=order is not None and self._halted.is_waiting(task),
            others_wait=self._halted.is_behind(task),
        )

    async def _take_slot(self, _task: ExecutionTask, _call: CallUnderWay, command: TakeSlot) -> Event:
        return self._rate_limiter.take(command.use, command.grant, self._clock().timestamp())

    async def _save(self, task: ExecutionTask, _call: CallUnderWay, _command: Save) -> Event:
        await self._progress.save(task)
        return Saved()

    async def _make_call(self, task: ExecutionTask, call: CallUnderWay, _command: MakeCall) -> Event:
        self._commit.alive()
        execution, current = task.execution, current_step(task.execution)
        step, handler = current.step, current.policy.handler
        outside = handler.outside
        generation = self._circuits.admit(outside)
        if generation is None:  # another call probes the system already
            return CircuitShut(self._circuits.shut_for_s(outside))
        report = CallReport(generation, Result.ABANDONED)  # the report if we are cancelled
        asked_at = self._clock().timestamp()
        try:
            call.sends()
            subject = execution.decision.subject
            traceparent = caused_by(task.traceparent, step.step_id)
            result = await self._actions.perform(execution.compiled, step, subject, traceparent)
            report = CallReport(generation, _REPORTS[result.answered], result.retry_after_seconds or 0)
        finally:
            self._circuits.record(outside, report)
        self._response_cache.wrote(task, handler)
        if result.status == "done":
            self._response_cache.keep(task, step, handler, result.result, asked_at)
        is_away = result.retryable and self._circuits.is_open(outside)
        ended_at = Moment(self._steady.process, self._steady.seconds())
        return CallEnded(result, ended_at, is_away, self._circuits.shut_for_s(outside) if is_away else 0.0)
