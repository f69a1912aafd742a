"""The outside as the act stage sees it: it answers as told and records every call."""

import orjson

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.execution import StepPolicy
from nightdesk.processors.playbook import RunStep, StepResult
from nightdesk.processors.quantities import Rate
from nightdesk.schemas import ids
from nightdesk.schemas.records import Case, Decision
from tests.processors.examples import NOW

BUSY = StepResult("failed", error="503", retryable=True)
BROKEN = StepResult("failed", error="400")
LATE = StepResult("unknown", error="no answer", retryable=True)
AWAY = StepResult("failed", error="no connection", retryable=True, answered=False)


class World:
    """`answers` by handler, each used once, then `done`. `once` are handlers that must not be called twice."""

    def __init__(self, once: tuple[str, ...] = ("pay",), retries: int = 2, **answers: list[StepResult]) -> None:
        self._once = once
        self._retries = retries
        self.answers = answers
        self.rates: dict[str, Rate] = {}
        self.calls: list[tuple[str, str]] = []

    @property
    def handlers(self) -> list[str]:
        return [handler for handler, _ in self.calls]

    def policy(self, compiled: CompiledCharter, handler: str) -> StepPolicy:
        policy = compiled.charter.handlers[handler]
        return StepPolicy(policy, handler not in self._once, self._retries, self.rates.get(handler))

    def preview(self, compiled: CompiledCharter, step: RunStep, subject: str) -> StepResult:
        return StepResult("done", result=orjson.dumps({"sent": step.request}).decode())

    async def perform(self, compiled: CompiledCharter, step: RunStep, subject: str, traceparent: str) -> StepResult:
        if step.begun and step.handler in self._once:
            return StepResult("unknown", error="it was begun, and nobody knows how it ended")
        self.calls.append((step.handler, step.step_id))
        answers = self.answers.get(step.handler)
        if answers:
            return answers.pop(0)
        return StepResult("done", result=orjson.dumps({"id": step.handler}).decode(), answered=True)

    async def close(self) -> None:
        """Nothing is held."""


def decision(case: Case, action: str = "respond", kind: str = "respond", **parameters: object) -> Decision:
    """As the decide stage would make it."""
    return Decision.model_validate(
        {
            "decision_id": ids.decision_id(case.case_id, case.step),
            "case": case,
            "action": action,
            "kind": kind,
            "confidence": 0.95,
            "parameters": orjson.dumps(parameters).decode(),
            "reasoning": "because",
            "provider": "anthropic",
            "disposition": "execute",
            "decided_at": NOW,
        }
    )
