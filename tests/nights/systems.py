"""The connected systems under the real `perform` and the real table of what an answer means: each call takes a moment,
and a system is sometimes away.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import orjson

from nightdesk.effects.handlers import answers
from nightdesk.effects.handlers.answers import Meaning
from nightdesk.effects.handlers.perform import perform
from nightdesk.effects.handlers.protocol import StepCall
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.charter.handlers import HttpHandler
from nightdesk.processors.execution import StepPolicy
from nightdesk.processors.playbook import RunStep, StepResult
from tests.nights.outages import Outages
from tests.nights.schedule import Schedule
from tests.simulator.agenda import Life
from tests.simulator.process import outside
from tests.streams.stages.stage_harness import Clock

LATENCY_S = 0.3


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that a system did because we asked it to."""

    at: datetime
    handler: str
    subject: str
    key: str
    request: Mapping[str, object]


@dataclass(slots=True)
class Systems:
    """What stays when a worker dies: what was done, once for each key where a system takes keys."""

    clock: Clock
    outages: Outages
    effects: list[Effect] = field(default_factory=list)
    called_at: list[datetime] = field(default_factory=list)
    keys: set[tuple[str, str]] = field(default_factory=set)

    def done(self) -> Counter[str]:
        """How often each handler did something."""
        return Counter(effect.handler for effect in self.effects)

    def act(self, policy: HttpHandler, name: str, call: StepCall) -> str:
        """Do it, unless it was done under this key; the answer's body."""
        is_known = policy.idempotent != "none" and (name, call.step_id) in self.keys
        if not is_known and not policy.read_only:
            self.keys.add((name, call.step_id))
            self.effects.append(Effect(self.clock(), name, call.subject, call.step_id, dict(call.request)))
        return orjson.dumps({"id": call.step_id, "history": []}).decode()


@dataclass(frozen=True, slots=True)
class Connections:
    """`streams.ports.Actions` of one worker."""

    systems: Systems
    schedule: Schedule
    life: Callable[[], Life]

    def policy(self, compiled: CompiledCharter, handler: str) -> StepPolicy:
        policy = compiled.charter.handlers[handler]
        repeatable = policy.read_only or (isinstance(policy, HttpHandler) and policy.repeatable)
        return StepPolicy(policy, repeatable, policy.call_rules.retries)

    def preview(self, compiled: CompiledCharter, step: RunStep, subject: str) -> StepResult:
        return StepResult("done", orjson.dumps(step.request).decode())

    async def perform(self, compiled: CompiledCharter, step: RunStep, subject: str, traceparent: str) -> StepResult:
        policy = compiled.charter.handlers[step.handler]
        assert isinstance(policy, HttpHandler), f"{step.handler} is no system of a night"
        call = StepCall(step.step_id, subject, step.request, traceparent)
        return await perform(_Handler(self, step.handler, policy), call, begun=step.begun)

    async def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class _Handler:
    """`nightdesk.effects.handlers.protocol.Handler` without a wire."""

    connections: Connections
    name: str
    policy: HttpHandler

    @property
    def repeatable(self) -> bool:
        return self.policy.repeatable

    async def run(self, call: StepCall) -> StepResult:
        systems, life = self.connections.systems, self.connections.life()
        systems.called_at.append(systems.clock())
        answer = systems.outages.answer([self.policy.outside], self.name)
        body = systems.act(self.policy, self.name, call) if answer in (None, "lost") else ""
        await outside(lambda resume: self.connections.schedule.after(LATENCY_S, partial(resume, None), life))
        if answer is None:
            return StepResult("done", result=body, answered=True)
        if answer == "no connection":
            return StepResult("failed", error="no connection", retryable=True, answered=False)
        if not isinstance(answer, int):
            return answers.result(Meaning.MAYBE, "no answer", repeatable=self.repeatable, answered=False)
        found, text = answers.meaning(answer, self.policy), answers.error_text(answer, b"")
        return answers.result(found, text, repeatable=self.repeatable, answered=answers.works(answer))
