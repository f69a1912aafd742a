"""The clock of the stages. A test or a replay passes its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The machine's current time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class SteadyClock:
    """Measures waits within this process. Nobody can set it, and its seconds have no meaning in another `process`."""

    process: str = field(default_factory=lambda: uuid4().hex)
    seconds: Callable[[], float] = time.monotonic
