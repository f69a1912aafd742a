"""The questions of a step to models: each is recorded before it is asked, and its reply before it is used.

A recorded reply is never bought again, not even after the step was given back. A question without a reply may have been
charged, so it stays charged at its worst price. The decide stage asks through `Questions`.
"""

from functools import partial
from typing import Literal

from pydantic import BaseModel

from nightdesk.processors import prices
from nightdesk.processors.deciding import AskModel
from nightdesk.processors.model import ModelReply, ModelUnavailable, stopped
from nightdesk.schemas import ids
from nightdesk.schemas.persons import shown_order
from nightdesk.schemas.records import Case, Fallback
from nightdesk.streams.api import Clock, Commit, Delivery, StagedWrites, Table
from nightdesk.streams.calls_under_way import CallUnderWay, Fate
from nightdesk.streams.control import Control
from nightdesk.streams.ports import Models

REPLIES_KEPT_S = 2 * 86_400
# How long to keep the replies of a waiting step: as long as charters wait for a model and agents are usually paused.
# After that they are bought again.
RETURNED_KEPT_S = 40 * 86_400
# A question that was started and not answered this often is not asked again, because each attempt may have been
# charged.
LOST_ANSWERS_AT_MOST = 3


class Attempt(BaseModel):
    """The record of one question: `asked`, then `replied` or `failed`.

    `returns` says how often the step had been given back when it was asked. If it failed for a temporary reason, it is
    asked again under the same key after the next return; `earlier_microusd` is what the earlier attempts may have cost.
    """

    state: Literal["asked", "replied", "failed"]
    worst_microusd: int = 0
    reply: ModelReply | None = None
    unavailable: ModelUnavailable | None = None
    returns: int = 0
    earlier_microusd: int = 0

    def asks_again(self, returns: int) -> bool:
        """Whether the question is asked again, now that its step was given back `returns` times."""
        return self.unavailable is not None and self.unavailable.retryable and self.returns < returns

    @property
    def charged_microusd(self) -> int:
        """What a failed attempt may have cost."""
        unavailable = self.unavailable
        return self.earlier_microusd + (unavailable.unanswered_cost_microusd if unavailable else self.worst_microusd)


class Questions:
    """Asks models for the steps of cases."""

    def __init__(self, control: Control, models: Models, clock: Clock) -> None:
        self._control = control
        self._models = models
        self._clock = clock
        self.table = Table("replies", Attempt)
        self._commit: Commit

    def bind(self, commit: Commit) -> None:
        self._commit = commit

    async def ask(
        self, question: AskModel, delivery: Delivery[Case], writes: StagedWrites
    ) -> ModelReply | ModelUnavailable:
        """The recorded reply, or a new one. The cost of lost replies is added to the one that counts."""
        case, now, unanswered_cost_microusd = delivery.record, self._clock(), 0
        worst_microusd = prices.worst_ask_price_microusd(question.providers, question.request, now)
        for number in range(LOST_ANSWERS_AT_MOST):
            key = _key(case, question.attempt, number)
            attempt = self.table.get(delivery.partition, key)
            if attempt is None or attempt.asks_again(case.returns):
                earlier_microusd = attempt.charged_microusd if attempt else 0
                unanswered_cost_microusd += earlier_microusd
                if unanswered_cost_microusd + worst_microusd > question.left_microusd:
                    break
                begun = Attempt(
                    state="asked",
                    worst_microusd=worst_microusd,
                    returns=case.returns,
                    earlier_microusd=earlier_microusd,
                )
                return _charged(await self._ask_anew(question, begun, key, case, writes), unanswered_cost_microusd)
            answer = attempt.reply or attempt.unavailable
            if answer is not None:
                return _charged(answer, unanswered_cost_microusd + attempt.earlier_microusd)
            unanswered_cost_microusd += attempt.charged_microusd
        detail = "earlier questions had no answer and may have been charged, so no money or attempt is left"
        lost = Fallback(provider=question.providers[0], reason="unknown", detail=detail, called=True)
        return ModelUnavailable(reasons=(lost,), unanswered_cost_microusd=unanswered_cost_microusd)

    def keep(self, case: Case, attempts_at_most: int, partition: int, writes: StagedWrites) -> None:
        """Keep the step's answers for as long as it may wait."""
        for attempt in range(attempts_at_most):
            for number in range(LOST_ANSWERS_AT_MOST):
                key = _key(case, attempt, number)
                known = self.table.get(partition, key)
                if known is not None:
                    self.table.put(writes, key, known, self._clock().timestamp() + RETURNED_KEPT_S)

    async def _ask_anew(
        self, question: AskModel, begun: Attempt, key: str, case: Case, writes: StagedWrites
    ) -> ModelReply | ModelUnavailable:
        """Ask the models. If an order keeps the agent from asking, no question is recorded."""
        with self._control.calls.begin(f"{case.case_id}/{case.step}/{question.attempt}", case.agent) as call:
            order = await self._order(case.agent)
            if order:
                return stopped(question.providers[0], order)
            before = self.table.get(writes.partition, key)
            await self._record(begun, key, writes)
            order = await self._order(case.agent)
            if order:  # the order came since: a question that was not asked costs nothing
                await self._restore(before, key, writes)
                return stopped(question.providers[0], order)
            began, why_not = self._clock(), partial(self._why_not, call)
            answer = await self._models.ask(question.providers, question.request, case.agent, why_not)
            asked_ms = max(0, int((self._clock() - began).total_seconds() * 1000))
            answer = answer.model_copy(update={"asked_ms": asked_ms})
            call.fate = _fate(answer)
        if isinstance(answer, ModelReply):
            ended = begun.model_copy(update={"state": "replied", "reply": answer})
        else:
            ended = begun.model_copy(update={"state": "failed", "unavailable": answer})
        await self._record(ended, key, writes)
        return answer

    async def _why_not(self, call: CallUnderWay) -> str:
        """Why no provider may be asked now. A provider before may have taken a minute, so orders and lease are checked
        again before each one.
        """
        order = await self._order(call.agent)
        if not order:
            self._commit.alive()
            call.sends()
        return order

    async def _order(self, agent: str) -> str:
        """Wait until the orders are confirmed. Returns the order that stops the agent, or an empty text."""
        await self._control.confirmation.wait()
        order = self._control.halted(agent)
        return "" if order is None else shown_order(order)

    async def _record(self, attempt: Attempt, key: str, writes: StagedWrites) -> None:
        step = writes.empty()
        self.table.put(step, key, attempt, self._clock().timestamp() + REPLIES_KEPT_S)
        await self._commit(step)

    async def _restore(self, before: Attempt | None, key: str, writes: StagedWrites) -> None:
        if before is not None:
            await self._record(before, key, writes)
            return
        step = writes.empty()
        self.table.delete(step, key)
        await self._commit(step)


def _key(case: Case, attempt: int, number: int) -> str:
    return ids.composite_key(case.case_id, str(case.step), str(attempt), str(number))


def _fate(answer: ModelReply | ModelUnavailable) -> Fate:
    if isinstance(answer, ModelReply):
        return "done"
    if not answer.called:
        return "cancelled"
    return "unknown" if answer.unanswered_cost_microusd else "failed"


def _charged(answer: ModelReply | ModelUnavailable, unanswered_cost_microusd: int) -> ModelReply | ModelUnavailable:
    if not unanswered_cost_microusd:
        return answer
    cost_microusd = answer.unanswered_cost_microusd + unanswered_cost_microusd
    return answer.model_copy(update={"unanswered_cost_microusd": cost_microusd})
