"""Reports records that were deleted before the stage read them: retention was too short, or somebody deleted them.

The report is a dead letter without bytes, so that `status` and `dlq list` show the loss until a person discards it, and
a line in the audit.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

from faust.types import TP

from nightdesk.messaging.producer import Message
from nightdesk.schemas import audit_records, dead_letters
from nightdesk.schemas.records import DeadLetter, Record
from nightdesk.streams.api.staged_writes import StagedWrites
from nightdesk.streams.metrics import LOST, QUARANTINED
from nightdesk.streams.runtime.handling.delivery import RawEvent
from nightdesk.streams.runtime.handling.guard import Guard
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.state.committer import Committer

log = logging.getLogger(__name__)


class Loss(NamedTuple):
    """Lost offsets of one partition: from `first` up to, not including, `end`."""

    tp: TP
    first: int
    end: int


class Losses:
    """Reports the losses of one stage."""

    def __init__(self, stage: str, guard: Guard, committer: Committer, policy: WorkerPolicy) -> None:
        self._stage = stage
        self._guard = guard
        self._committer = committer
        self._policy = policy

    def report(self, loss: Loss, finish: Callable[[], None]) -> None:
        """Report it; `finish` is called when that is durable, and the offset may advance."""
        topic = loss.tp.topic.removeprefix(self._policy.topic_prefix)
        offsets = (loss.first, loss.end)
        letter = dead_letters.lost(self._stage, topic, loss.tp.partition, offsets, self._policy.clock())
        log.error("%s/%s: %s", loss.tp.topic, loss.tp.partition, letter.message)
        LOST.labels(stage=self._stage, topic=topic).inc(loss.end - loss.first)
        writes = self._guard.writes(loss.tp.partition)
        self._add(writes, loss.tp, letter)
        self._committer.submit(writes, finish)

    async def read(self, event: RawEvent) -> Record | None:
        """The decoded form of a record that will be quarantined; None if it cannot be decoded."""
        return await self._guard.read(event)

    def quarantine(self, event: RawEvent, record: Record | None, finish: Callable[[], None]) -> None:
        """Quarantine a record at which the stage exited repeatedly: its bytes become a dead letter. `record` is its
        decoded form, if there is one.
        """
        log.error("%s/%s: the process exits repeatedly at offset %s: quarantined", *event.tp, event.offset)
        QUARANTINED.labels(stage=self._stage, topic=event.topic.removeprefix(self._policy.topic_prefix)).inc()
        self._committer.submit(self._guard.quarantine(event, record), finish)

    def _add(self, writes: StagedWrites, tp: TP, letter: DeadLetter) -> None:
        headers = dead_letters.headers(letter, writes.codec)
        writes.messages.append(Message(f"{tp.topic}.dlq", None, None, headers, tp.partition))
        writes.audit(audit_records.lost(letter))
