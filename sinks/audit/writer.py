"""Converts each Kafka message to one row, and writes the rows.

The row is the decoded audit record, or a dead letter's row if it cannot be decoded. Records of forgotten subjects are
left out. Rows that may be stored already are looked up first. For those that are, only the facts are computed again;
the others are written in one insert.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence

from confluent_kafka import Message

from nightdesk.messaging.consumed import original_of
from nightdesk.schemas import bounds
from nightdesk.schemas.bounds import OutOfBounds
from nightdesk.schemas.codec import Codec, RegistryUnavailable, Undecodable
from nightdesk.schemas.records import AuditRecord
from nightdesk.schemas.topics import AUDIT
from nightdesk.sinks.audit.case_times import with_case_times
from nightdesk.sinks.audit.chain import Chains
from nightdesk.sinks.audit.dead_letters import DeadLetters
from nightdesk.sinks.audit.forgotten import ForgottenReader
from nightdesk.sinks.audit.metrics import Metrics
from nightdesk.sinks.audit.table import AuditTable, InsertSlice
from nightdesk.sinks.clickhouse.connection import ANY_FAILURE, UNREACHABLE

CANNOT_LAND: tuple[type[Exception], ...] = (RegistryUnavailable, *ANY_FAILURE)

log = logging.getLogger(__name__)

# The messages of one partition in a batch, in the order of offsets; never empty.
PartitionSlice = list[Message]


class Writer:
    """Writes batches. It caches the highest stored offsets, and the dead letters that are sent but not written yet."""

    def __init__(
        self,
        table: AuditTable,
        codec: Codec,
        dead_letters: DeadLetters,
        metrics: Metrics,
        forgotten: ForgottenReader,
    ) -> None:
        self._forgotten = forgotten
        self._table = table
        self._topic_id = ""
        self.chains = Chains(table)
        self._incarnation: int | None = None
        self._codec = codec
        self._dead_letters = dead_letters
        self._metrics = metrics
        # The highest stored offsets when other rows may have been added: rows up to there are looked up first.
        self._unsure_until: dict[int, int] = {}
        # Dead letters of slices that are not written yet: a retry must not send them again.
        self._parked: dict[tuple[int, int], AuditRecord] = {}

    def begin_log(self, topic_id: str) -> None:
        """The messages that follow are of the topic with this id; empty if it is not known."""
        if topic_id != self._topic_id:
            self._topic_id, self._incarnation = topic_id, None

    def invalidate_deduplication(self) -> None:
        """Forget the highest stored offsets, because the table may have more rows: others wrote to it, or an insert was
        stored and its response was lost.
        """
        self._unsure_until.clear()

    def land(self, shares: Sequence[PartitionSlice]) -> None:
        """Write all slices in one insert; returns when ClickHouse has stored them.

        Raises `RegistryUnavailable` or `connection.ANY_FAILURE`; nothing, a part or everything may be stored then.
        """
        if self._incarnation is None:
            self._incarnation = self._table.incarnation(str(shares[0][0].topic()), self._topic_id)
        subjects = self._forgotten.read()
        read = [self._slice(share, self._incarnation).without(subjects.cover) for share in shares]
        slices = with_case_times(self._table, [one for one in read if one.offsets])
        self._look_up_stored(slices)
        divided = [self._divided(insert_slice) for insert_slice in slices]
        left = [new for new, _ in divided if new.offsets]
        stored = [known for _, known in divided if known.offsets]
        if stored:
            self._table.feed(stored)
        if left:
            with self._metrics.insert_seconds.time():
                self._table.insert(left)
        self.chains.extend(slices)
        self._metrics.landed(sum(len(insert_slice.offsets) for insert_slice in left))
        self._forget_parked({insert_slice.partition for insert_slice in slices})

    def _slice(self, share: PartitionSlice, incarnation: int) -> InsertSlice:
        records, offsets = [self._record(message) for message in share], [offset_of(message) for message in share]
        return InsertSlice(str(share[0].topic()), partition_of(share[0]), records, offsets, incarnation)

    def _look_up_stored(self, slices: Sequence[InsertSlice]) -> None:
        for one in slices:
            if one.partition not in self._unsure_until:
                self._unsure_until[one.partition] = self._table.highest_offset(one)

    def _divided(self, insert_slice: InsertSlice) -> tuple[InsertSlice, InsertSlice]:
        is_new = insert_slice.offsets[0] > self._unsure_until[insert_slice.partition]
        return insert_slice.divided({} if is_new else self._table.stored(insert_slice))

    def _record(self, message: Message) -> AuditRecord:
        original = original_of(message)
        try:
            bounds.check(original.key, original.value, original.headers, AUDIT.value_bytes)
            return self._codec.decode(AuditRecord, original.value)
        except (OutOfBounds, Undecodable) as error:
            return self._park(message, error)

    def _park(self, message: Message, error: ValueError) -> AuditRecord:
        place = partition_of(message), offset_of(message)
        if place not in self._parked:
            log.error("dead letter", extra={"partition": place[0], "offset": place[1], "reason": str(error)})
            self._parked[place] = self._dead_letters.park(message, error)
            self._metrics.dead_letters.inc()
        return self._parked[place]

    def _forget_parked(self, partitions: set[int]) -> None:
        if self._parked:
            self._parked = {place: record for place, record in self._parked.items() if place[0] not in partitions}


def may_lie_in_one(error: Exception) -> bool:
    """Whether a single record may be the reason (refused, or of a new schema), so that other
    partitions can continue.
    """
    return isinstance(error, RegistryUnavailable) or not isinstance(error, UNREACHABLE)


def slices_of(messages: Iterable[Message]) -> list[PartitionSlice]:
    """A batch by partition."""
    shares: dict[int, PartitionSlice] = defaultdict(list)
    for message in messages:
        shares[partition_of(message)].append(message)
    return list(shares.values())


def partition_of(message: Message) -> int:
    """A message's partition: every consumed message has one, which its type does not say."""
    partition = message.partition()
    assert partition is not None, "a consumed message has a partition"
    return partition


def offset_of(message: Message) -> int:
    """A message's offset: every consumed message has one, which its type does not say."""
    offset = message.offset()
    assert offset is not None, "a consumed message has an offset"
    return offset
