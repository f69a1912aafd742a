"""The settings of one sink: what it reads and writes, how much goes into one insert, and how long it waits."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nightdesk.messaging.log_identity import TopicId, unknown


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """`kafka` and `clickhouse` are the clients' own arguments; the topics and `group_id` are full names.

    `topic_id` asks for the broker's id of the topic; `forget_key` is the key of the digests on `forgotten_topic`.
    """

    kafka: Mapping[str, Any]
    clickhouse: Mapping[str, Any]
    topic: str
    group_id: str
    forgotten_topic: str
    instance_id: str
    session_timeout_s: int = 30
    metrics_port: int = 0
    metrics_host: str = ""
    topic_id: TopicId = unknown
    forget_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """How much goes into one insert, and how long to wait after a failed one.

    Each insert costs ClickHouse some 60 ms of CPU whatever its size, most of it to plan the views that fill the
    facts, and creates parts to merge, so few large inserts are better: `linger_s` is how far `why` may be behind. If
    nothing more came for `quiet_s` a batch is written at once, but not sooner than `pace_s` after the last insert: so
    records that come one by one, each after such a pause, share an insert. A batch of `worth_messages` is written as
    soon as it is quiet. Every `hours_pause_s` it looks for hours to count (`hours.py`).
    """

    batch_messages: int = 10_000
    batch_bytes: int = 64_000_000
    linger_s: float = 2.0
    # Longer than the broker waits to fill a response (`fetch.wait.max.ms`): between two responses it is not quiet.
    quiet_s: float = 0.15
    pace_s: float = 1.0
    worth_messages: int = 1000
    first_pause_s: float = 0.25
    longest_pause_s: float = 15.0
    hours_pause_s: float = 15.0

    def pause_s(self, failures: int) -> float:
        """Seconds to wait; doubles with each failure in a row. Half of it is random, so that sinks do not retry at the
        same time.
        """
        whole = min(self.longest_pause_s, self.first_pause_s * 2.0 ** min(failures - 1, 16))
        return whole * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, protects nothing
