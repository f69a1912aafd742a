"""Messages become rows, and the rows land. Called by `sinks.audit.sink` with what it has gathered.

Of each message comes one row: its record, or the line about its dead letter. Rows that the table may have already are
looked up first and left out; the rest lands in one insert.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import structlog
from confluent_kafka import Message

from schemas.codec import Codec, Undecodable
from schemas.records import AuditRecord
from sinks.audit.dead_letters import DeadLetters
from sinks.audit.metrics import Metrics
from sinks.audit.table import AuditTable, Landing

log = structlog.get_logger(__name__)

# The messages of one partition in a batch, in the order of offsets; never empty.
Share = list[Message]


class Lander:
    """Remembers what is known of the table, and which dead letters have been parked but not landed."""

    def __init__(self, table: AuditTable, codec: Codec, dead_letters: DeadLetters, metrics: Metrics) -> None:
        self._table = table
        self._codec = codec
        self._dead_letters = dead_letters
        self._metrics = metrics
        # The highest offsets that had landed when we last had reason to doubt: up to there rows are looked up first.
        self._doubted_until: dict[int, int] = {}
        # Dead letters of shares that have not landed yet: a retry must not park them again.
        self._parked: dict[tuple[int, int], AuditRecord] = {}

    def doubt(self) -> None:
        """The table may hold more than we know: others wrote to it, or an insert was stored and its answer lost."""
        self._doubted_until.clear()

    def land(self, shares: Sequence[Share]) -> None:
        """Land all shares in one insert; returns when ClickHouse has stored them.

        Raises `RegistryUnavailable` or `connection.ANY_FAILURE`; nothing, a part or all of it may be stored then.
        """
        landings = [self._landing(share) for share in shares]
        self._look_into_doubts(landings)
        left = [landing for landing in map(self._not_landed, landings) if landing.offsets]
        if left:
            with self._metrics.insert_seconds.time():
                self._table.insert(left)
        self._metrics.landed(sum(len(landing.offsets) for landing in left))
        self._forget_parked({landing.partition for landing in landings})

    def _landing(self, share: Share) -> Landing:
        records, offsets = [self._record(message) for message in share], [offset_of(message) for message in share]
        return Landing(str(share[0].topic()), partition_of(share[0]), records, offsets)

    def _look_into_doubts(self, landings: Sequence[Landing]) -> None:
        doubted = [landing.partition for landing in landings if landing.partition not in self._doubted_until]
        if doubted:
            self._doubted_until |= self._table.highest_offsets(landings[0].topic, doubted)

    def _not_landed(self, landing: Landing) -> Landing:
        if landing.offsets[0] > self._doubted_until[landing.partition]:
            return landing
        return landing.without(self._table.landed(landing))

    def _record(self, message: Message) -> AuditRecord:
        payload = message.value()
        try:
            return self._codec.decode(AuditRecord, payload if isinstance(payload, bytes) else None)
        except Undecodable as error:
            return self._park(message, error)

    def _park(self, message: Message, error: Undecodable) -> AuditRecord:
        place = partition_of(message), offset_of(message)
        if place not in self._parked:
            log.error("dead letter", partition=place[0], offset=place[1], reason=str(error))
            self._parked[place] = self._dead_letters.park(message, error)
            self._metrics.dead_letters.inc()
        return self._parked[place]

    def _forget_parked(self, partitions: set[int]) -> None:
        if self._parked:
            self._parked = {place: record for place, record in self._parked.items() if place[0] not in partitions}


def shares_of(messages: Iterable[Message]) -> list[Share]:
    """A batch by its partitions."""
    shares: dict[int, Share] = defaultdict(list)
    for message in messages:
        shares[partition_of(message)].append(message)
    return list(shares.values())


def partition_of(message: Message) -> int:
    """A message's partition: every consumed one has it, which its type does not say."""
    partition = message.partition()
    assert partition is not None, "a consumed message has a partition"
    return partition


def offset_of(message: Message) -> int:
    """A message's offset: every consumed one has it, which its type does not say."""
    offset = message.offset()
    assert offset is not None, "a consumed message has an offset"
    return offset
