"""The outside as the act stage sees it: it does what it is told, and remembers every call."""

import orjson

from processors.charter.compiled import CompiledCharter
from processors.charter.quantities import Rate
from processors.playbook import RunStep
from schemas import ids
from schemas.records import Case, Decision
from streams.ports import Performed
from tests.processors.examples import NOW

BUSY = Performed("failed", error="503", retryable=True)
BROKEN = Performed("failed", error="400")
LATE = Performed("unknown", error="no answer", retryable=True)
AWAY = Performed("failed", error="no connection", retryable=True, answered=False)


class World:
    """`answers` by handler, each used once; `done` after that. `once` are handlers that must not be called twice."""

    def __init__(self, once: tuple[str, ...] = ("pay",), retries: int = 2, **answers: list[Performed]) -> None:
        self._once = once
        self._retries = retries
        self.answers = answers
        self.rates: dict[str, Rate] = {}
        self.calls: list[tuple[str, str]] = []

    @property
    def handlers(self) -> list[str]:
        return [handler for handler, _ in self.calls]

    def repeatable(self, compiled: CompiledCharter, handler: str) -> bool:
        return handler not in self._once

    def retries(self, compiled: CompiledCharter, handler: str) -> int:
        return self._retries

    def rate(self, compiled: CompiledCharter, handler: str) -> Rate | None:
        return self.rates.get(handler)

    async def perform(self, compiled: CompiledCharter, step: RunStep, subject: str, traceparent: str) -> Performed:
        if step.begun and step.handler in self._once:
            return Performed("unknown", error="it was begun, and nobody knows how it ended")
        self.calls.append((step.handler, step.step_id))
        answers = self.answers.get(step.handler)
        if answers:
            return answers.pop(0)
        return Performed("done", result=orjson.dumps({"id": step.handler}).decode(), answered=True)

    async def close(self) -> None:
        """Nothing is held."""


def decision(case: Case, action: str = "respond", kind: str = "respond", **parameters: object) -> Decision:
    """As the decide stage would say it."""
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
