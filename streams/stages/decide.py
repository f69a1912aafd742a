"""Decide: a case becomes a decision that the charter's rules have checked.

The conversation is `processors/deciding.py`; here its questions are asked, each recorded before it is asked and its
answer before it is used (`replies`): an answer that was recorded is never bought again, and a question without an
answer was perhaps paid, so it stays charged at its worst price.
"""

from functools import partial
from typing import Literal

from pydantic import BaseModel

from processors import breaker, prices
from processors.anomalies import is_doubtful
from processors.charter.compiled import CompiledCharter
from processors.deciding import AskModel, ModelUnavailable, decide
from processors.deciding import Conversation as Flow
from processors.ledger.lines import settling
from processors.model import ModelReply
from processors.provenance import check_case
from schemas.records import Case, CaseStatus, Decision, Fallback
from schemas.topics import ACT, BUDGET, DECIDE
from streams.charters import Control
from streams.ports import Models
from streams.runtime.changes import Changes
from streams.runtime.delivery import Delivery
from streams.runtime.guard import Conversation, Route
from streams.runtime.policy import Clock
from streams.runtime.stage import Commit
from streams.runtime.tables import FactTable
from streams.stages import audit, waiting
from streams.stages.circuits import Circuits
from streams.stages.facts import stored

BREAKER = breaker.Policy()
REPLIES_KEPT_S = 2 * 86_400
# A question that was begun and never answered so often is not asked again: each may have been paid.
LOST_ANSWERS_AT_MOST = 3


class Attempt(BaseModel):
    """What is recorded of one question: `asked`, then `replied` or `failed`."""

    state: Literal["asked", "replied", "failed"]
    worst_microusd: int = 0
    reply: ModelReply | None = None
    unavailable: ModelUnavailable | None = None


class Decide:
    """Handlers of the decide stage."""

    name = "decide"
    table_names = ("replies", "circuits")

    def __init__(self, control: Control, models: Models, clock: Clock, circuits: Circuits | None = None) -> None:
        """`circuits` are those that `models` asks before each call."""
        self._control = control
        self._models = models
        self._clock = clock
        self._circuits = circuits or Circuits(self.name, BREAKER, clock)
        self._replies: FactTable
        self._commit: Commit

    def routes(self) -> tuple[Route, ...]:
        return (Route(DECIDE, self.decide, waiting.of_cases(self._control)),)

    def bind(self, tables: dict[str, FactTable], commit: Commit) -> None:
        self._replies, self._commit = tables["replies"], commit
        self._circuits.bind(tables["circuits"])

    def recovered(self) -> None:
        self._circuits.recovered()

    def tick(self, partition: int, changes: Changes) -> None:
        """Drop replies that nobody can ask for again."""
        self._circuits.tick(partition, changes)
        for key in self._replies.expired(partition, self._clock().timestamp()):
            changes.forget(self._replies, key.decode())

    async def close(self) -> None:
        await self._models.close()

    def decide(self, delivery: Delivery[Case], changes: Changes) -> Conversation | None:
        """One step of a case. There is nothing to wait for where rules decide."""
        case = delivery.record
        compiled = self._control.known(case.agent, case.charter_version)
        if compiled is None:
            return partial(self._decide_soon, delivery, changes)
        return self._decide_by(compiled, delivery, changes)

    async def _decide_soon(self, delivery: Delivery[Case], changes: Changes) -> None:
        case = delivery.record
        compiled = await self._control.charter_soon(case.agent, case.charter_version)
        conversation = self._decide_by(compiled, delivery, changes)
        if conversation is not None:
            await conversation()

    def _decide_by(self, compiled: CompiledCharter, delivery: Delivery[Case], changes: Changes) -> Conversation | None:
        check_case(delivery.record, compiled)
        flow = decide(delivery.record, compiled, self._clock())
        try:
            question = next(flow)
        except StopIteration as end:
            self._conclude(end.value, compiled, delivery.traceparent, changes)
            return None
        return partial(self._converse, flow, question, compiled, delivery, changes)

    async def _converse(
        self,
        flow: Flow,
        question: AskModel,
        compiled: CompiledCharter,
        delivery: Delivery[Case],
        changes: Changes,
    ) -> None:
        try:
            while True:
                question = flow.send(await self._ask(question, compiled, delivery, changes))
        except StopIteration as end:
            self._conclude(end.value, compiled, delivery.traceparent, changes)

    def _conclude(self, decision: Decision, compiled: CompiledCharter, traceparent: str, changes: Changes) -> None:
        if decision.disposition in ("execute", "dry_run", "needs_approval"):
            changes.emit(ACT, decision)
        changes.audit(audit.decided(decision, _status(decision), traceparent))
        if decision.case.reserved_microusd or compiled.charter.anomalies is not None:
            changes.emit(BUDGET, settling(decision, low_confidence=is_doubtful(decision, compiled)))

    # -- asking

    async def _ask(
        self, question: AskModel, compiled: CompiledCharter, delivery: Delivery[Case], changes: Changes
    ) -> ModelReply | ModelUnavailable:
        """The recorded answer, or a new one. Answers that were lost are charged to the one that counts."""
        now, lost_microusd = self._clock(), 0
        worst_microusd = prices.worst_ask_price_microusd(question.providers, question.request, now)
        for number in range(LOST_ANSWERS_AT_MOST):
            key = f"{delivery.record.case_id}|{delivery.record.step}|{question.attempt}|{number}"
            known = self._replies.read(delivery.partition, key)
            if known is None and lost_microusd + worst_microusd > question.left_microusd:
                break
            if known is None:
                return _charged(await self._ask_anew(question, worst_microusd, key, changes), lost_microusd)
            attempt = Attempt.model_validate_json(known)
            answer = attempt.reply or attempt.unavailable
            if answer is not None:
                return _charged(answer, lost_microusd)
            lost_microusd += attempt.worst_microusd
        lost = Fallback(provider=question.providers[0], reason="unknown", detail="the answers were lost in crashes")
        return ModelUnavailable(reasons=(lost,), maybe_paid_microusd=lost_microusd)

    async def _ask_anew(
        self, question: AskModel, worst_microusd: int, key: str, changes: Changes
    ) -> ModelReply | ModelUnavailable:
        await self._record(Attempt(state="asked", worst_microusd=worst_microusd), key, changes)
        self._commit.alive()
        answer = await self._models.ask(question.providers, question.request)
        if isinstance(answer, ModelReply):
            await self._record(Attempt(state="replied", reply=answer), key, changes)
        else:
            await self._record(Attempt(state="failed", unavailable=answer), key, changes)
        return answer

    async def _record(self, attempt: Attempt, key: str, changes: Changes) -> None:
        step = changes.empty()
        step.put(self._replies, key, stored(attempt), self._clock().timestamp() + REPLIES_KEPT_S)
        await self._commit(step)


def _status(decision: Decision) -> CaseStatus:
    if decision.disposition in ("refused", "needs_approval"):
        return decision.disposition
    return "running"


def _charged(answer: ModelReply | ModelUnavailable, lost_microusd: int) -> ModelReply | ModelUnavailable:
    if not lost_microusd:
        return answer
    if isinstance(answer, ModelUnavailable):
        return answer.model_copy(update={"maybe_paid_microusd": answer.maybe_paid_microusd + lost_microusd})
    return answer.model_copy(update={"passed_over_microusd": answer.passed_over_microusd + lost_microusd})
