"""The metrics of one stage process: the duration of records, its lag, and its audit records."""

import time
from collections import Counter
from collections.abc import Callable, Sequence

import faust
from faust.types import TP

from nightdesk.schemas.records import AuditRecord
from nightdesk.streams.audit_log import log_records
from nightdesk.streams.audit_metrics import AuditMetrics
from nightdesk.streams.metrics import IN_FLIGHT, LAG, LATENCY, READY, REBALANCES
from nightdesk.streams.runtime.consuming.partition_reader import PartitionReader
from nightdesk.streams.runtime.handling.delivery import Finish

# Called with audit records that are durable: it sends them on, and never waits.
Export = Callable[[Sequence[AuditRecord]], None]


def nowhere(_records: Sequence[AuditRecord]) -> None:
    """The export if no collector is configured."""


class StageMetrics:
    """The metrics of one stage, called on its loop. Audit records are counted, logged and exported."""

    def __init__(self, stage: str, topic_prefix: str, export: Export) -> None:
        self._stage = stage
        self._topic_prefix = topic_prefix
        self._latency = LATENCY.labels(stage=stage)
        self._in_flight = IN_FLIGHT.labels(stage=stage)
        self._ready = READY.labels(stage=stage)
        self._rebalances = REBALANCES.labels(stage=stage)
        self._behind: Counter[str] = Counter()
        self._audit = AuditMetrics()
        self._export = export

    def rebalanced(self) -> None:
        """Note that partitions were revoked."""
        self._rebalances.inc()

    def timed(self, finish: Finish) -> Finish:
        """Wraps `finish` so that it also measures the time from now until the record is done."""
        taken_at, observe = time.monotonic(), self._latency.observe

        def finished() -> None:
            finish()
            observe(time.monotonic() - taken_at)

        return finished

    def audited(self, records: Sequence[AuditRecord]) -> None:
        """Count, log and export audit records that are durable."""
        self._audit.count(records)
        log_records(records)
        self._export(records)

    def measure(self, app: faust.App, reader: PartitionReader, *, ready: bool) -> None:
        """Set the gauges. Called about once a second."""
        self._in_flight.set(reader.in_flight)
        self._ready.set(ready)
        # A topic whose last partition was revoked is no longer ours, so it is not behind here.
        behind = Counter(dict.fromkeys(self._behind, 0))
        for (topic, partition), expected in reader.expected().items():
            end = app.consumer.highwater(TP(topic, partition))
            behind[topic] += max(0, (end or 0) - expected)
        for topic, records in behind.items():
            LAG.labels(stage=self._stage, topic=topic.removeprefix(self._topic_prefix)).set(records)
        self._behind = behind
