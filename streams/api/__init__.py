"""The API that a stage is written against: `Stage`, `Route`, `Delivery`, `StagedWrites` and `Table`.

Nothing in here needs Faust or a broker. `streams/runtime` runs a stage on Kafka, `streams/in_memory.py` runs it on a
list of records.
"""

from nightdesk.streams.api.clock import Clock, SteadyClock, system_clock
from nightdesk.streams.api.stage import (
    AsyncHandler,
    Commit,
    Delivery,
    Handler,
    QueueOf,
    Route,
    Stage,
    WaitsFor,
    async_handler,
)
from nightdesk.streams.api.staged_writes import RecordTooLarge, StagedWrites
from nightdesk.streams.api.tables import Base64Bytes, Table

__all__ = [
    "AsyncHandler",
    "Base64Bytes",
    "Clock",
    "Commit",
    "Delivery",
    "Handler",
    "QueueOf",
    "RecordTooLarge",
    "Route",
    "Stage",
    "StagedWrites",
    "SteadyClock",
    "Table",
    "WaitsFor",
    "async_handler",
    "system_clock",
]
