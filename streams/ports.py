"""The protocols through which stages use other systems. The bootstrap implements them with `effects`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from nightdesk.processors.breaker import CallReport
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.execution import StepPolicy
from nightdesk.processors.model import ModelReply, ModelRequest, ModelUnavailable, WhyNot
from nightdesk.processors.notifications import Message, RoutePolicy
from nightdesk.processors.playbook import RunStep, StepResult
from nightdesk.schemas.audit import Identity
from nightdesk.schemas.records import ApprovalReply


class Models(Protocol):
    """The model providers, asked in the given order."""

    async def ask(
        self, providers: Sequence[str], request: ModelRequest, agent: str, why_not: WhyNot
    ) -> ModelReply | ModelUnavailable:
        """A reply, or why there is none and what that may have cost. A provider's failure is never raised.

        `why_not` is awaited directly before each provider is asked: it says why that may not be done, or is empty.
        """

    async def close(self) -> None: ...


class CircuitBreakers(Protocol):
    """The circuit breakers of model providers, by provider; a stage stores their states."""

    def admit(self, name: str) -> int | None:
        """The generation to report back with; None if the provider must not be asked."""

    def record(self, name: str, report: CallReport) -> None:
        """How an admitted call ended."""

    def cause(self, name: str) -> str:
        """The kind of failure that opened the circuit."""


class Persons(Protocol):
    """Verifies the person who answered an approval."""

    @property
    def required(self) -> bool:
        """Whether only a verified answer may approve."""

    def identity(self, reply: ApprovalReply) -> Identity:
        """How far the person's identity is proved. Never raises."""


@dataclass(frozen=True, slots=True)
class Anybody:
    """No keys are known: every name is claimed."""

    required: bool = False

    def identity(self, reply: ApprovalReply) -> Identity:
        return "claimed"


ANYBODY = Anybody()


class Notifier(Protocol):
    """Sends messages to the routes of the settings."""

    @property
    def routes(self) -> Mapping[str, RoutePolicy]:
        """The policy of each route, by its name."""

    @property
    def closes(self) -> Collection[str]:
        """The routes whose channels can close a message that is over."""

    async def send(self, message: Message) -> StepResult:
        """Send the message to its route, or close it there. Never raises for the other side's failure."""

    async def close(self) -> None: ...


class Actions(Protocol):
    """The handlers of the charters' playbooks."""

    def policy(self, compiled: CompiledCharter, handler: str) -> StepPolicy:
        """The settings for the calls of a handler, by the charter and by the connection of the system that it calls."""

    def preview(self, compiled: CompiledCharter, step: RunStep, subject: str) -> StepResult:
        """What `perform` would send for the step, as JSON. Sends nothing."""

    async def perform(self, compiled: CompiledCharter, step: RunStep, subject: str, traceparent: str) -> StepResult:
        """Make the call of a step. Never raises for the other side's failure."""

    async def close(self) -> None: ...
