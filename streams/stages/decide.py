"""Decide: a case becomes a decision that the charter's rules have checked, or is given back to wait.

The flow is in `processors/deciding.py`; this stage asks its questions (`questions.py`). Nothing waits here: a step for
which no model may or can be asked now goes back to the budget stage (`returned_steps.py`).
"""

from collections.abc import Iterator
from functools import partial

from nightdesk.processors import breaker
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.deciding import AskModel, DecisionFlow, decide
from nightdesk.processors.escalation import lacks_escalation
from nightdesk.processors.kept_questions import kept_question
from nightdesk.processors.ledger.entries import settlement
from nightdesk.processors.measures import measures
from nightdesk.processors.model import ModelReply, ModelUnavailable
from nightdesk.processors.provenance import check_case
from nightdesk.processors.unanswered import GivenBack
from nightdesk.schemas import audit_records
from nightdesk.schemas.records import Case, CaseStatus, Decision
from nightdesk.schemas.topics import ACT, BUDGET, DECIDE
from nightdesk.streams.api import AsyncHandler, Clock, Commit, Delivery, Route, Stage, StagedWrites
from nightdesk.streams.control import Control
from nightdesk.streams.ports import Models
from nightdesk.streams.stage_spec import StageContext, StageSpec, TableSpec
from nightdesk.streams.stages import parking_keys
from nightdesk.streams.stages.circuits import Circuits
from nightdesk.streams.stages.failures import send_case_to_dlq
from nightdesk.streams.stages.questions import Questions
from nightdesk.streams.stages.returned_steps import ReturnedSteps

BREAKER = breaker.BreakerPolicy()

TABLES = {
    "replies": TableSpec(
        "each question to a model and its reply",
        "2 days; 40 days for a step that was given back",
        "the question is asked, and paid, again",
    ),
    "circuits": TableSpec("the state of each provider's circuit", "1 day after its last change", "it counts as closed"),
    "returned": TableSpec(
        "the first step of a subject that was given back",
        "until it is decided, at most 2 days",
        "a later case of the subject may overtake it",
    ),
}


class Decide(Stage):
    """The decide stage."""

    name = "decide"
    table_names = tuple(TABLES)

    def __init__(self, control: Control, models: Models, clock: Clock, circuits: Circuits | None = None) -> None:
        """`circuits` are those that `models` asks before each call."""
        super().__init__(clock)
        self._control = control
        self._models = models
        self._circuits = circuits or Circuits(self.name, BREAKER, clock)
        self._questions = Questions(control, models, clock)
        self._returned = ReturnedSteps(clock, self._circuits)
        self.tables = (self._questions.table, self._circuits.table, self._returned.table)

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(DECIDE, self.decide, parking_keys.for_cases(self._control), parking_keys.for_charter(self._control)),
        )

    def bind(self, commit: Commit) -> None:
        self._questions.bind(commit)

    def recovered(self) -> Iterator[None]:
        self._circuits.recovered()
        yield

    def tick(self, partition: int, writes: StagedWrites) -> None:
        """Delete replies that cannot be needed again."""
        self._circuits.tick(partition, writes)

    async def close(self) -> None:
        await self._models.close()

    def decide(self, delivery: Delivery[Case], writes: StagedWrites) -> AsyncHandler | None:
        """Decide one step of a case. If the rules decide, nothing is awaited."""
        case = delivery.record
        compiled = self._control.known(case.agent, case.charter_version)
        if compiled is None:
            return partial(self._decide_soon, delivery, writes)
        return self._decide_by(compiled, delivery, writes)

    async def _decide_soon(self, delivery: Delivery[Case], writes: StagedWrites) -> None:
        case = delivery.record
        compiled = await self._control.charter_soon(case.agent, case.charter_version)
        async_handler = self._decide_by(compiled, delivery, writes)
        if async_handler is not None:
            await async_handler()

    def _decide_by(
        self, compiled: CompiledCharter, delivery: Delivery[Case], writes: StagedWrites
    ) -> AsyncHandler | None:
        check_case(delivery.record, compiled)
        behind = self._returned.in_front(delivery)
        if behind is not None:
            self._conclude(behind, compiled, delivery, writes)
            return None
        flow = decide(delivery.record, compiled, self._clock())
        try:
            question = next(flow)
        except StopIteration as end:
            self._conclude(end.value, compiled, delivery, writes)
            return None
        return partial(self._run_async, flow, question, compiled, delivery, writes)

    async def _run_async(
        self,
        flow: DecisionFlow,
        question: AskModel,
        compiled: CompiledCharter,
        delivery: Delivery[Case],
        writes: StagedWrites,
    ) -> None:
        try:
            while True:
                answer = await self._questions.ask(question, delivery, writes)
                self._keep(question, answer, compiled, delivery, writes)
                question = flow.send(answer)
        except StopIteration as end:
            self._conclude(end.value, compiled, delivery, writes)

    def _keep(
        self,
        question: AskModel,
        answer: ModelReply | ModelUnavailable,
        compiled: CompiledCharter,
        delivery: Delivery[Case],
        writes: StagedWrites,
    ) -> None:
        """Prompt and reply go to the audit with what comes of the step, unless no provider was called."""
        by = None
        if isinstance(answer, ModelReply):
            by = answer.provider, answer.model
        elif not answer.called:
            return
        detail = kept_question(delivery.record, compiled, question, answer)
        writes.audit(audit_records.asked(delivery.record, detail, by, delivery.traceparent, self._clock()))

    def _conclude(
        self, end: Decision | GivenBack, compiled: CompiledCharter, delivery: Delivery[Case], writes: StagedWrites
    ) -> None:
        charter = compiled.charter
        if isinstance(end, GivenBack):
            self._questions.keep(delivery.record, charter.bounds.model_calls, delivery.partition, writes)
            self._returned.give_back(end, charter.decide.asked, delivery, writes)
            return
        self._returned.decided(delivery, writes)
        is_lost = lacks_escalation(end, compiled)
        if end.disposition in ("execute", "dry_run", "needs_approval"):
            writes.emit(ACT, end)
        status: CaseStatus = "failed" if is_lost else _status(end)
        writes.audit(audit_records.decided(end, status, delivery.traceparent, measures(compiled, end)))
        # A model that costs nothing is settled as well, because the budget stage has to know that it answered.
        asked = bool(charter.decide.asked) and not delivery.record.escalate_because
        if end.case.reserved_microusd or asked or charter.anomalies is not None:
            writes.emit(BUDGET, settlement(end))
        if is_lost:
            send_case_to_dlq(end, delivery, writes, self._clock())


def _status(decision: Decision) -> CaseStatus:
    if decision.disposition in ("refused", "needs_approval"):
        return decision.disposition
    return "running"


def _build(context: StageContext) -> Decide:
    circuits = Circuits(Decide.name, BREAKER, context.clock)
    return Decide(context.control, context.models(circuits), context.clock, circuits)


SPEC = StageSpec(
    name=Decide.name,
    summary="Asks models, or the charter's rules, for a decision about each case, and settles its cost.",
    topics=(DECIDE,),
    tables=TABLES,
    build=_build,
    parks=True,
    needs=("model",),
)
