"""Defines the progress of a worker for its watchdog."""

from typing import Any

import faust

from nightdesk.streams.runtime.consuming.partition_reader import PartitionReader
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.liveness import Watchdog


def watchdog_for(app: faust.App, reader: PartitionReader, policy: WorkerPolicy) -> Watchdog:
    """A watchdog for which accepted and finished records, assignments and recovered entries are progress."""
    # Faust creates the recovery on first use, which must not be in the watchdog's thread.
    recovery = app.tables.recovery  # type: ignore[attr-defined]  # Faust's type of it is incomplete
    return Watchdog(
        policy.client_config,
        limit_s=lambda: policy.no_recovery_s if recovery.in_recovery else policy.no_progress_s,
        progress=lambda: (reader.accepted, reader.done, reader.epoch, _offsets_read(recovery)),
        busy=lambda: bool(reader.in_flight) or app.rebalancing,
        positions=reader.expected,
    )


def _offsets_read(recovery: Any) -> int:
    """The offsets up to which the changelogs are recovered."""
    return sum(offset or 0 for offset in list(recovery.active_offsets.values()))
