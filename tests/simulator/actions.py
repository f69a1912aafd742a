"""The systems that are acted upon: some know our keys, some act again at every call.

Given to the act stage as its `Actions`, under the real `perform` and the real table of what an answer means. A call is
made in two steps: the other side acts, its answer arrives; a process can die between them, and answers get lost.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from random import Random

import orjson

from effects.actions import answers
from effects.actions.answers import Meaning
from effects.actions.perform import perform
from effects.actions.protocol import Call, Result
from processors.charter.compiled import CompiledCharter
from processors.charter.playbooks import HttpHandler
from processors.charter.quantities import Rate
from processors.playbook import RunStep
from streams.ports import Performed
from tests.simulator.agenda import Agenda, Life
from tests.simulator.process import Resume, outside

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
    """What somebody wanted done, by the words of the request: which event, which step of its case, what."""

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
    """The other side, which outlives every process."""

    rng: Random
    done: defaultdict[Deed, int] = field(default_factory=lambda: defaultdict(int))
    sent: list[Sent] = field(default_factory=list)
    _known: set[tuple[str, str]] = field(default_factory=set)

    def act(self, policy: HttpHandler, sent: Sent) -> Meaning:
        """Do it, or not; the meaning of the answer, if it is one."""
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
    """`streams.ports.Actions` of one process. `place` is the length of the log now, `halted` what it was ordered."""

    servers: Servers
    agenda: Agenda
    life: Callable[[], Life]
    place: Callable[[], int]
    halted: Callable[[str], bool]
    limit: Rate | None

    def repeatable(self, compiled: CompiledCharter, handler: str) -> bool:
        policy = _policy(compiled, handler)
        return policy.idempotent != "none" or policy.read_only

    def retries(self, compiled: CompiledCharter, handler: str) -> int:
        return _policy(compiled, handler).retries

    def rate(self, compiled: CompiledCharter, handler: str) -> Rate | None:
        return self.limit

    async def perform(self, compiled: CompiledCharter, step: RunStep, subject: str, traceparent: str) -> Performed:
        handler = _Handler(self, compiled.agent, step.handler, _policy(compiled, step.handler))
        result = await perform(handler, Call(step.step_id, subject, step.request, traceparent), begun=step.begun)
        return Performed(**asdict(result))

    async def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class _Handler:
    """`effects.actions.protocol.Handler` whose wire is the agenda."""

    calling: Calling
    agent: str
    name: str
    policy: HttpHandler

    @property
    def repeatable(self) -> bool:
        return self.policy.idempotent != "none" or self.policy.read_only

    async def run(self, call: Call) -> Result:
        sent = Sent(
            Deed(self.name, str(call.request["event"]), int(call.request["step"])),
            call.idempotency_key,
            dict(call.request),
            self.calling.place(),
            self.calling.halted(self.agent),
        )
        self.calling.servers.sent.append(sent)
        await outside(lambda resume: self.calling.agenda.add(self.calling.life(), partial(self._arrive, sent, resume)))
        assert sent.meaning is not None
        sent.heard = True
        if sent.meaning is Meaning.DONE:
            return Result("done", result=orjson.dumps({"id": sent.key}).decode(), answered=True)
        answered = sent.meaning is Meaning.NEVER
        return answers.result(sent.meaning, sent.meaning.name, repeatable=self.repeatable, answered=answered)

    def _arrive(self, sent: Sent, resume: Resume) -> None:
        sent.meaning = self.calling.servers.act(self.policy, sent)
        resume(None)


def _policy(compiled: CompiledCharter, handler: str) -> HttpHandler:
    policy = compiled.charter.handlers[handler]
    assert isinstance(policy, HttpHandler)
    return policy
