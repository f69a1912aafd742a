"""The protocol of a step handler: it is called with a key and a request, returns a result, and never raises."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from nightdesk.processors.playbook import StepResult


@dataclass(frozen=True, slots=True)
class StepCall:
    """One step to perform. `step_id` is its idempotency key; `request` is its rendered `with`, as JSON values."""

    step_id: str
    subject: str
    request: Mapping[str, Any]
    traceparent: str | None = None


class Handler(Protocol):
    """Performs one kind of step. `repeatable`: a second call with the same key has no second effect."""

    @property
    def repeatable(self) -> bool: ...

    async def run(self, call: StepCall) -> StepResult: ...


@runtime_checkable
class Reconciles(Protocol):
    """A handler that cannot be repeated but can ask the other side for the result of a call."""

    async def reconcile(self, call: StepCall) -> StepResult:
        """The result of an earlier call with this key; `absent` if the other side does not have it."""
        ...


@runtime_checkable
class Previews(Protocol):
    """A handler that can show what it would send."""

    def preview(self, call: StepCall) -> StepResult:
        """The request of the call as JSON, as `run` would send it; failed if none can be built. Sends nothing."""
        ...


class PublishFailed(Exception):
    """The broker did not confirm the record; it may have been written nevertheless."""


class Publish(Protocol):
    """Produces one record and returns when the broker has it. Raises `PublishFailed`."""

    async def __call__(self, topic: str, key: bytes, value: bytes, headers: Mapping[str, bytes]) -> None: ...
