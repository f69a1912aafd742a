"""The routes of a night and their channels: each message that is sent to one is recorded, and taken or not."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from nightdesk.processors.notifications import Message, RoutePolicy
from nightdesk.processors.playbook import StepResult
from tests.nights.outages import Outages
from tests.nights.schedule import Schedule
from tests.simulator.agenda import Life
from tests.simulator.process import outside
from tests.streams.stages.stage_harness import Clock

LATENCY_S = 0.3
# The on-call's alerts are closed when they are over; nobody takes back what is in the chat of the others.
CLOSING = frozenset({"oncall"})
# What the same request may succeed after.
TEMPORARY = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Attempt:
    """A message that was sent to a route's channel, or closed there; `taken` if its people have it."""

    at: datetime
    message: Message
    taken: bool


@dataclass(slots=True)
class Told:
    """What stays when a worker dies: what was sent, and what people have got of it."""

    clock: Clock
    outages: Outages
    attempts: list[Attempt] = field(default_factory=list)
    closings: list[Attempt] = field(default_factory=list)

    def messages(self) -> Iterator[Attempt]:
        """What people have got: the first of each key, as a channel that knows its keys shows it."""
        shown: set[str] = set()
        for attempt in self.attempts:
            if attempt.taken and attempt.message.key not in shown:
                shown.add(attempt.message.key)
                yield attempt


@dataclass(frozen=True, slots=True)
class Channels:
    """`streams.ports.Notifier` of one worker."""

    told: Told
    schedule: Schedule
    life: Callable[[], Life]
    routes: Mapping[str, RoutePolicy]
    closes: frozenset[str] = CLOSING

    async def send(self, message: Message) -> StepResult:
        told, life = self.told, self.life()
        answer = told.outages.answer([message.route])
        attempt = Attempt(told.clock(), message, taken=answer in (None, "lost"))
        (told.closings if message.is_over else told.attempts).append(attempt)
        await outside(lambda resume: self.schedule.after(LATENCY_S, partial(resume, None), life))
        if answer is None:
            return StepResult("done", answered=True)
        text = f"HTTP {answer}" if isinstance(answer, int) else answer
        return StepResult("failed", error=text, retryable=not isinstance(answer, int) or answer in TEMPORARY)

    async def close(self) -> None:
        """Nothing is held."""
