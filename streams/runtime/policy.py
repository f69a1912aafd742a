"""The limits of one worker process, which the bootstrap sets once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nightdesk.schemas.bounds import DEAD_LETTER_BYTES_AT_MOST
from nightdesk.streams.api.clock import Clock, system_clock
from nightdesk.streams.runtime.membership.lease import SHARE
from nightdesk.streams.runtime.process.confirmed_clock import ConfirmedClock
from nightdesk.streams.runtime.process.ratio import RatioPolicy


@dataclass(frozen=True)
class WorkerPolicy:
    """The broker's address and how long anything may take. Durations in seconds.

    `session_timeout_s`: a process that is silent for so long has lost its partitions. `leaves_group`: a process that is
    told to stop gives them back at once; otherwise they wait for a successor with its instance id for that time.
    `in_flight`: records accepted and not yet done, and `in_flight_bytes` their size; above either the consumer is
    paused. `no_progress_s`: if there is work and no progress for so long, the process exits; `no_recovery_s` is for
    recovery, because Faust's may stand still forever after a broker outage. `dead_letter_bytes`: how much of the
    original record a `.dlq` topic accepts; a larger record is cut there, and stored completely in `oversized_dir` if
    that is set. `confirmed_clock` says when entries may expire. `state_dir` is the folder of the tables, which
    are in memory without it; `state_cache_bytes` bounds the memory for what is read from there and written to it.
    """

    client_config: Mapping[str, Any]
    topic_prefix: str
    partitions: int
    instance_id: str
    session_timeout_s: float = 10.0
    leaves_group: bool = True
    in_flight: int = 2000
    in_flight_bytes: int = 64_000_000
    drain_s: float = 25.0
    commit_interval_s: float = 1.0
    tick_interval_s: float = 0.25
    no_progress_s: float = 120.0
    no_recovery_s: float = 25.0
    metrics_port: int = 0
    metrics_host: str = ""
    dead_letter_bytes: int = DEAD_LETTER_BYTES_AT_MOST
    oversized_dir: Path | None = None
    state_dir: Path | None = None
    state_cache_bytes: int = 64 * 1024 * 1024
    dead_letters: RatioPolicy = field(default=RatioPolicy())
    clock: Clock = field(default=system_clock)
    confirmed_clock: ConfirmedClock = field(default_factory=ConfirmedClock)

    def state_folder(self, app_id: str) -> Path | None:
        """The folder of the tables of one stage; None if they are in memory."""
        return None if self.state_dir is None else self.state_dir / app_id

    @property
    def heartbeat_interval_s(self) -> float:
        """Often, because a replaced process learns of it from its next heartbeat."""
        return min(1.0, self.session_timeout_s / 5)

    @property
    def rebalance_timeout_s(self) -> float:
        """A member that does not join again within this time is removed."""
        return max(60.0, self.session_timeout_s)

    @property
    def settle_s(self) -> float:
        """How long a process waits after its first assignment before it recovers its tables: by then a predecessor with
        the same instance id knows that it was replaced, and its last writes are in the changelog.
        """
        return 2 * self.heartbeat_interval_s + 0.5

    @property
    def lease_s(self) -> float:
        """For this long after an acknowledged heartbeat nobody else can own our partitions."""
        return self.session_timeout_s * SHARE

    @property
    def commit_timeout_s(self) -> float:
        """A commit that takes longer counts as failed."""
        return self.session_timeout_s / 4

    @property
    def delivery_timeout_s(self) -> float:
        """Messages older than this are not sent any more."""
        return self.session_timeout_s * 0.7
