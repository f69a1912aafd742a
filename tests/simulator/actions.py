"""The outside systems: some honour our idempotency keys, some act again at every call.

The act stage gets them as its `Actions`, below the real `perform` and the real table of what a response means. A call
has two steps: the other side acts, and its response arrives. A process can die between them, and responses get lost.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from random import Random

import orjson

from nightdesk.effects.handlers import answers
from nightdesk.effects.handlers.answers import Meaning
from nightdesk.effects.handlers.perform import perform
from nightdesk.effects.handlers.protocol import StepCall
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.charter.handlers import HttpHandler
from nightdesk.processors.execution import StepPolicy
from nightdesk.processors.playbook import RunStep, StepResult
from nightdesk.processors.quantities import Rate
from tests.simulator.agenda import Agenda, Life
from tests.simulator.process import Resume, outside
from tests.streams.stages.stage_harness import Clock

# An answer's meaning, whether the other side did it, how often.
FATES = (
    (Meaning.DONE, True, 74),
    (Meaning.NOT_NOW, False, 9),
    (Meaning.NEVER, False, 5),
    (Meaning.MAYBE, True, 7),
    (Meaning.MAYBE, False, 5),
)
WEIGHTS = tuple(weight for *_, weight in FATES)


@dataclass(frozen=True, slots=True)
class Deed:
    """A requested action, identified by the request: its event, the step of its case, and what is to be done."""

    handler: str
    event: str
    step: int


@dataclass(slots=True)
class Sent:
    """One call as it left the process. `halted`: the process knew of an order that forbids it."""

    deed: Deed
    key: str
    request: dict[str, object]
    place: int
    halted: bool
    meaning: Meaning | None = None
    heard: bool = False


@dataclass(slots=True)
class Servers:
    """The other side, which survives every process."""

    rng: Random
    clock: Clock
    away_until: datetime
    done: defaultdict[Deed, int] = field(default_factory=lambda: defaultdict(int))
    sent: list[Sent] = field(default_factory=list)
    _known: set[tuple[str, str]] = field(default_factory=set)

    def act(self, policy: HttpHandler, sent: Sent) -> Meaning:
        """Act or not; returns the result, if the response allows one."""
        if self.clock() < self.away_until:
            return Meaning.NOT_NOW
        meaning, acts, _ = self.rng.choices(FATES, WEIGHTS)[0]
        key = (sent.deed.handler, sent.key)
        if policy.idempotent != "none" and key in self._known:
            return Meaning.MAYBE if meaning is Meaning.MAYBE else Meaning.DONE
        if acts:
            self._known.add(key)
            self.done[sent.deed] += 1
        return meaning


@dataclass(frozen=True, slots=True)
class Calling:
    """`streams.ports.Actions` of one process. `place` is the current length of the log, `halted` the order that it
    knows.
    """

    servers: Servers
    agenda: Agenda
    life: Callable[[], Life]
    place: Callable[[], int]
    halted: Callable[[str, str], bool]
    limit: Rate | None

    def policy(self, compiled: CompiledCharter, handler: str) -> StepPolicy:
        policy = _policy(compiled, handler)
        repeatable = policy.idempotent != "none" or policy.read_only
        return StepPolicy(policy, repeatable, policy.retries, self.limit)

    def preview(self, compiled: CompiledCharter, step: RunStep, subject: str) -> StepResult:
        raise NotImplementedError("no world is a dry run")

    async def perform(self, compiled: CompiledCharter, step: RunStep, subject: str, traceparent: str) -> StepResult:
        handler = _Handler(self, compiled.agent, step.handler, _policy(compiled, step.handler))
        return await perform(handler, StepCall(step.step_id, subject, step.request, traceparent), begun=step.begun)

    async def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class _Handler:
    """`nightdesk.effects.handlers.protocol.Handler` that calls through the agenda."""

    calling: Calling
    agent: str
    name: str
    policy: HttpHandler

    @property
    def repeatable(self) -> bool:
        return self.policy.idempotent != "none" or self.policy.read_only

    async def run(self, call: StepCall) -> StepResult:
        sent = Sent(
            Deed(self.name, str(call.request["event"]), int(call.request["step"])),
            call.step_id,
            dict(call.request),
            self.calling.place(),
            self.calling.halted(self.agent, self.name),
        )
        self.calling.servers.sent.append(sent)
        await outside(lambda resume: self.calling.agenda.add(self.calling.life(), partial(self._arrive, sent, resume)))
        assert sent.meaning is not None
        sent.heard = True
        if sent.meaning is Meaning.DONE:
            return StepResult("done", result=orjson.dumps({"id": sent.key}).decode(), answered=True)
        answered = sent.meaning is Meaning.NEVER
        return answers.result(sent.meaning, sent.meaning.name, repeatable=self.repeatable, answered=answered)

    def _arrive(self, sent: Sent, resume: Resume) -> None:
        sent.meaning = self.calling.servers.act(self.policy, sent)
        resume(None)


def _policy(compiled: CompiledCharter, handler: str) -> HttpHandler:
    policy = compiled.charter.handlers[handler]
    assert isinstance(policy, HttpHandler)
    return policy
