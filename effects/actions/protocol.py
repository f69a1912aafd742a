"""What every handler of a playbook's step is: called with a key and a request, answers with a result, never raises.

The act stage calls handlers through `perform.perform`; `registry.py` builds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

ResultStatus = Literal["done", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Call:
    """One step to perform. `idempotency_key` is the step's id; `request` is its rendered `with`, as JSON values."""

    idempotency_key: str
    subject: str
    request: Mapping[str, Any]
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it. `result` is JSON text of at most 64 kB.

    `done`: it happened. `failed`: it did not happen. `unknown`: it may have happened. `retryable`: the same call may be
    made again later, and then it happens once at most. `answered` says whether the other side is there and works;
    None where it was not asked.
    """

    status: ResultStatus
    result: str = "null"
    error: str | None = None
    retryable: bool = False
    retry_after_seconds: int | None = None  # as the other side asked
    answered: bool | None = None


class Handler(Protocol):
    """Does one kind of step. `repeatable`: the same call twice, with one key, changes the world once."""

    @property
    def repeatable(self) -> bool: ...

    async def run(self, call: Call) -> Result: ...


@runtime_checkable
class Reconciles(Protocol):
    """A handler that cannot be repeated but can ask the other side what became of a call."""

    async def reconcile(self, call: Call) -> Result | None:
        """The result of an earlier call with this key; None when the other side never saw it."""
        ...
