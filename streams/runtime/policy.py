"""What the safety layer is allowed: the limits of one worker process, given once by the bootstrap."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from streams.runtime.ratio import RatioPolicy

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The one clock of a worker."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class WorkerPolicy:
    """Where the broker is and how long anything may take. Durations in seconds.

    `session_timeout_s`: a process silent for so long has lost its partitions. `in_flight`: records accepted and not yet
    done; above it the consumer is paused. `no_progress_s`: with work there and nothing moving for so long, it ends;
    `no_recovery_s` while tables are read: Faust's recovery may stand still for ever after the broker was away.
    """

    client_config: Mapping[str, Any]
    topic_prefix: str
    partitions: int
    instance_id: str
    session_timeout_s: float = 30.0
    in_flight: int = 2000
    drain_s: float = 25.0
    commit_interval_s: float = 1.0
    tick_interval_s: float = 0.25
    no_progress_s: float = 120.0
    no_recovery_s: float = 25.0
    metrics_port: int = 0
    dead_letters: RatioPolicy = field(default=RatioPolicy())
    clock: Clock = field(default=system_clock)

    @property
    def frozen_after_s(self) -> float:
        """A pause this long means that another process may have our partitions."""
        return self.session_timeout_s * 0.75

    @property
    def delivery_timeout_s(self) -> float:
        """Messages older than this are not sent any more."""
        return self.session_timeout_s * 0.7
