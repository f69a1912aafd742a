"""Act: executes a decision's playbook, each step once, and stores each outcome.

The transition table in `processors/execution` decides; this stage performs its commands. It trusts no input: the
charter's allowlist, parameters, rules and gates are checked again, and orders before every call. `progress` stores what
was started and its outcomes; `calls.py` performs the commands of one step.
"""

from collections.abc import Iterator
from typing import Any

from nightdesk.processors import playbook
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.execution import ExecutionState, RateGrant, begin, scope_of
from nightdesk.processors.execution.commands import (
    Command,
    Conclude,
    Continue,
    Hold,
    RequestGrant,
    RunPlaybook,
    WaitForOrder,
    WaitForTimer,
)
from nightdesk.processors.execution.events import DecisionRead, Event, GrantRead, Known, PlaybookEnded, Reconsidered
from nightdesk.processors.four_eyes import ApprovalRule
from nightdesk.processors.playbook import Progress
from nightdesk.processors.provenance import Forged
from nightdesk.schemas.records import ApprovalReply, Decision, RateRequest, SubjectEvent
from nightdesk.schemas.topics import ACT, APPROVALS, RATE_GRANTS, RATE_REQUESTS, SUBJECT_EVENTS
from nightdesk.streams.api import Clock, Commit, Delivery, Route, Stage, StagedWrites, SteadyClock, async_handler
from nightdesk.streams.control import Control
from nightdesk.streams.ports import ANYBODY, Actions, Persons
from nightdesk.streams.stage_spec import StageSpec
from nightdesk.streams.stages import parking_keys
from nightdesk.streams.stages.act_output import emit_again_later, emit_end
from nightdesk.streams.stages.act_tables import ACT_TABLES
from nightdesk.streams.stages.approvals import Approvals
from nightdesk.streams.stages.calls import Calls
from nightdesk.streams.stages.execution import ExecutionTask, ProgressTable
from nightdesk.streams.stages.halted import Halted
from nightdesk.streams.stages.paused_time import PausedTime


class Act(Stage):
    """The act stage."""

    name = "act"
    table_names = tuple(ACT_TABLES)

    def __init__(
        self,
        control: Control,
        actions: Actions,
        clock: Clock,
        persons: Persons = ANYBODY,
        steady: SteadyClock | None = None,
    ) -> None:
        super().__init__(clock)
        self._control = control
        self._actions = actions
        self.paused_time = PausedTime(control, clock)
        self._approvals = Approvals(clock, self.paused_time, persons)
        self._progress = ProgressTable(clock)
        self._halted = Halted(control, clock)
        self._calls = Calls(control, actions, clock, self._progress, self._halted, steady or SteadyClock())
        self.tables = (
            self._progress.table,
            *self._approvals.tables,
            self._halted.table,
            self.paused_time.table,
            *self._calls.tables,
        )

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(
                ACT,
                async_handler(self.act),
                parking_keys.for_cases(self._control),
                parking_keys.for_charter(self._control),
            ),
            Route(APPROVALS, async_handler(self.answered)),
            Route(RATE_GRANTS, async_handler(self.granted)),
            Route(SUBJECT_EVENTS, async_handler(self.event_came)),
        )

    def bind(self, commit: Commit) -> None:
        self._progress.bind(commit)
        self._calls.bind(commit)

    def recovered(self) -> Iterator[None]:
        self._calls.recovered()
        yield from self.paused_time.recovered()
        yield from self._halted.recovered()
        yield from self._approvals.recovered()

    def tick(self, partition: int, writes: StagedWrites) -> None:
        self.paused_time.tick(partition, writes)
        self._calls.tick(partition, writes)
        self._halted.tick(partition, writes)
        self._approvals.tick(partition, writes)

    async def close(self) -> None:
        await self._actions.close()

    # -- what comes in

    async def act(self, delivery: Delivery[Decision], writes: StagedWrites) -> None:
        """Handle a decision: execute it, hold it for a person, or refuse it. Raises `Forged` for one that no stage of
        ours made.
        """
        task = await self._task(delivery.record, delivery, writes)
        await self._execute(task, DecisionRead(self._known(task), delivery.replay_of))

    async def granted(self, delivery: Delivery[RateRequest], writes: StagedWrites) -> None:
        """Handle a rate grant for a decision that waits for it."""
        granted = delivery.record
        if granted.slot_at is None:
            raise Forged("a rate grant has a slot_at")
        task = await self._task(granted.decision, delivery, writes)
        grant = RateGrant(number=granted.number, slot_at=granted.slot_at)
        await self._execute(task, GrantRead(self._known(task), granted.purpose, grant))

    async def answered(self, delivery: Delivery[ApprovalReply], writes: StagedWrites) -> None:
        """Handle the answer of a person to a decision that is held here, or its expiry."""
        rule = await self._rule_for(delivery)
        answered = self._approvals.take(delivery, rule, writes, self._clock())
        if answered is not None:
            task = await self._task(answered.decision, delivery, writes)
            await self._execute(task, answered.event)

    async def _rule_for(self, delivery: Delivery[ApprovalReply]) -> ApprovalRule | None:
        """Who has to approve what the answer approves, by the charter as it is now."""
        decision = self._approvals.held(delivery.record, delivery.partition)
        if decision is None or delivery.record.verdict not in ("approve", "edit"):
            return None
        case = decision.case
        return self._rule(decision, await self._control.charter_soon(case.agent, case.charter_version))

    def _rule(self, decision: Decision, compiled: CompiledCharter) -> ApprovalRule:
        case = decision.case
        return ApprovalRule.of(decision, compiled, self._control.put_in_force_by(case.agent, case.charter_version))

    async def event_came(self, delivery: Delivery[SubjectEvent], writes: StagedWrites) -> None:
        """Take back decisions that wait for a person, if their charter says that this event of their subject does so. A
        decision that is still being made is compared with the event before it begins to wait.
        """
        self._approvals.newer_events.remember(delivery, writes)
        for agent in sorted(self._control.agents()):
            for decision in self._approvals.take_back(delivery, agent, writes):
                task = await self._task(decision, delivery, writes)
                await self._execute(task, Reconsidered(delivery.record.event))

    async def _task(self, decision: Decision, delivery: Delivery[Any], writes: StagedWrites) -> ExecutionTask:
        compiled = await self._control.charter_soon(decision.case.agent, decision.case.charter_version)
        place = f"{delivery.topic.name}:{delivery.partition}:{delivery.offset}"
        state = self._progress.read(writes.partition, decision.decision_id)
        scope = scope_of(decision)
        paused_s = self.paused_time.seconds(writes.partition, scope)
        return ExecutionTask(begin(decision, compiled, state, paused_s), scope, delivery.traceparent, place, writes)

    def _known(self, task: ExecutionTask) -> Known:
        decision, compiled, writes = task.execution.decision, task.execution.compiled, task.writes
        return Known(
            ended_under=self._ended_under(task.execution.state, compiled),
            held_sha256=self._approvals.payload_held(decision, writes),
            step_before=self._progress.read_step_before(writes.partition, decision.case),
            other_open=self._approvals.other_open(decision, compiled.charter.actions.get(decision.action), writes),
        )

    def _ended_under(self, state: ExecutionState, compiled: CompiledCharter) -> CompiledCharter | None:
        """The charter as it was when the decision ended; None if it has not, or an older version did not store it."""
        if state.ended_at is None or (state.ended_restricted and not state.ended_under):
            return None
        return self._control.as_restricted(compiled.agent, compiled.version, state.ended_under)

    # -- performing commands

    async def _execute(self, task: ExecutionTask, event: Event) -> None:
        command = self._calls.advance(task, event)
        if isinstance(command, RunPlaybook):
            command = await self._run_playbook(task)
        match command:
            case Hold(reason):
                if task.execution.state is not task.execution.saved:
                    self._progress.remember(task)
                rule = self._rule(task.execution.decision, task.execution.compiled)
                newer = self._approvals.hold(task, reason, rule)
                if newer is not None:
                    left = task.execution
                    task.execution = begin(left.decision, left.compiled, left.state, left.paused_s)
                    await self._execute(task, Reconsidered(newer))
            case WaitForTimer(after_s, reason, cause):
                is_new = task.is_new_wait(cause)
                self._progress.remember(task)
                emit_again_later(task, after_s, reason, self._clock(), is_new=is_new)
            case WaitForOrder(reason):
                self._progress.remember_until_resumed(task)
                self._halted.hold(task, reason)
            case RequestGrant(request):
                self._progress.remember(task)
                task.writes.emit(RATE_REQUESTS, request)
            case Conclude(ending):
                self._progress.remember(task, until=max((timer.due_at for timer in ending.timers), default=None))
                emit_end(task, ending, self._clock())

    async def _run_playbook(self, task: ExecutionTask) -> Command:
        """Perform steps until the playbook ends or a step has to wait."""
        execution = task.execution
        state = execution.state
        known = Progress(state.outcomes, tuple(state.intents), state.runs, state.earlier, state.called_ms)
        flow = playbook.run(execution.decision, execution.compiled, known, state.at)
        try:
            step = next(flow)
            while isinstance(command := await self._calls.run_step(task, step), Continue):
                step = flow.send(command.outcome)
        except StopIteration as end:
            return self._calls.advance(task, PlaybookEnded(end.value))
        flow.close()
        return command


SPEC = StageSpec(
    name=Act.name,
    summary="Checks a decision again, holds it for approval if a person must agree, and calls other systems.",
    topics=(ACT, APPROVALS, RATE_GRANTS, SUBJECT_EVENTS),
    tables=ACT_TABLES,
    build=lambda context: Act(context.control, context.actions(), context.clock, context.persons()),
    parks=True,
    needs=("connections",),
)
