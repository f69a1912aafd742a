"""Parks later records of a subject behind its open dead letter, if the charter sets `park_subject`.

The stage's route returns the queue of a record; None means no parking. A queue continues when its first letter is
replayed or discarded. Both arrive on the stage's own topic like every other record, so one process and the order of one
log decide.

Anyone can compute ids of letters, so a resolution or a replay has to bring the token that the letter has on
`<topic>.dlq`. Without it a resolution is refused and a replay is an ordinary record; the audit reports both.

The order of writes matters. A letter that starts a queue blocks it before the letter is emitted, or a later record
could overtake it. A parked record leaves the queue after everything is emitted, or a crash in between would lose it.
"""

import secrets
from functools import partial

from nightdesk.schemas import audit_records, dead_letters
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import AuditRecord, DeadLetter, DeadLetterEnd, Record
from nightdesk.schemas.topics import Topic
from nightdesk.streams.api.clock import Clock
from nightdesk.streams.api.stage import QueueOf
from nightdesk.streams.api.staged_writes import StagedWrites
from nightdesk.streams.api.state_store import StateStore
from nightdesk.streams.runtime.handling.delivery import RawEvent
from nightdesk.streams.runtime.handling.queues import BlockedKey, Queues


class Parking:
    """The parked records of one stage."""

    def __init__(self, store: StateStore, codec: Codec, clock: Clock) -> None:
        self._queues = Queues(store)
        self._codec = codec
        self._clock = clock

    def may_run(self, event: RawEvent, record: Record, queue_of: QueueOf | None, writes: StagedWrites) -> bool:
        """Whether a record from the log may run now. If not, it is parked and `writes` has it."""
        if self._queues.is_empty(event.partition):
            return True
        turn = self._of_replayed(event, writes) or _own_turn(event, record, queue_of)
        line = self._queues.line(turn.partition, turn.queue) if turn else []
        if turn is None or not line or turn.place < line[0].place:
            return True  # nothing blocks it, or it is redelivered from before the letter
        standing = next((standing for standing in line if standing.place == turn.place), None)
        if standing is line[0] and standing.letter_id is not None:
            writes.after_commit = partial(self.leave, turn=turn)  # the letter's own record, replayed
            return True
        if standing is None or standing.letter_id is not None:
            self._queues.wait(writes, turn, event)
            self._say(writes, event, record, line[0].letter_id or "")
        return False

    def place(
        self, event: RawEvent, record: Record | None, queue_of: QueueOf | None, writes: StagedWrites
    ) -> BlockedKey | None:
        """The place of a failed record, if it blocks others."""
        return self._of_replayed(event, writes) or _own_turn(event, record, queue_of)

    def release_token(self, writes: StagedWrites, turn: BlockedKey, letter_id: str) -> bytes:
        """The token that releases the queue behind the letter: the same for a letter that is created twice."""
        return self._queues.token_of(turn.partition, letter_id) or self._queues.new_token(writes, letter_id)

    def block_queue(
        self, writes: StagedWrites, turn: BlockedKey, letter: DeadLetter, topic: Topic, token: bytes
    ) -> None:
        """Let a letter block its queue until it is resolved, or its topic deletes it."""
        expires_at = self._clock().timestamp() + topic.retention_ms / 1000
        stood = any(standing.place == turn.place for standing in self._queues.line(turn.partition, turn.queue))
        if stood:
            block = partial(self._queues.block, turn=turn, letter_id=letter.dead_letter_id)
            writes.after_commit = partial(block, expires_at=expires_at, token=token)
        else:
            self._queues.block(writes, turn, letter.dead_letter_id, expires_at, token)

    def is_end(self, event: RawEvent, writes: StagedWrites) -> bool:
        """Whether the record reports that a letter was discarded; then its queue continues."""
        header = dict(event.headers).get(dead_letters.END_HEADER)
        if header is None:
            return False
        letter_id = self._codec.decode(DeadLetterEnd, header).dead_letter_id
        token = dict(event.headers).get(dead_letters.RELEASE_HEADER) or b""
        turn = self._released(event, letter_id, token, "an end", writes)
        if turn is not None:
            writes.after_commit = partial(self.leave, turn=turn)
        return True

    def leave(self, writes: StagedWrites, turn: BlockedKey) -> str:
        """Remove the finished record at the place. Returns the queue whose next record may run."""
        self._queues.leave(writes, turn)
        return turn.queue

    def next(self, partition: int, queue: str) -> tuple[BlockedKey, RawEvent] | None:
        """The first record of a queue, if it may run."""
        return self._queues.next(partition, queue)

    def free(self, partition: int) -> list[str]:
        """Queues that an earlier process did not finish releasing."""
        return self._queues.free(partition)

    def expired(self, partition: int) -> list[BlockedKey]:
        """The places of letters that their topics have deleted by now."""
        return self._queues.expired(partition, self._clock().timestamp())

    def _of_replayed(self, event: RawEvent, writes: StagedWrites) -> BlockedKey | None:
        replay = dead_letters.replay_of(event.headers)
        if replay is None:
            return None
        return self._released(event, replay.letter_id, replay.release_token, "a replay", writes)

    def _released(
        self, event: RawEvent, letter_id: str, token: bytes, what: str, writes: StagedWrites
    ) -> BlockedKey | None:
        """The place of the letter, if the token is right. Letters of older versions have none."""
        turn = self._queues.turn_of(event.partition, letter_id)
        if turn is None or secrets.compare_digest(self._queues.token_of(event.partition, letter_id) or token, token):
            return turn
        self._audit(
            writes, audit_records.not_released(letter_id, what, event.key, _place(event, writes), self._clock())
        )
        return None

    def _say(self, writes: StagedWrites, event: RawEvent, record: Record, behind: str) -> None:
        self._audit(writes, audit_records.parked(record, behind, _place(event, writes), self._clock()))

    def _audit(self, writes: StagedWrites, line: AuditRecord) -> None:
        writes.audit(line.model_copy(update={"traceparent": writes.traceparent}))


def _place(event: RawEvent, writes: StagedWrites) -> tuple[str, int, int]:
    return event.topic.removeprefix(writes.topic_prefix), event.partition, event.offset


def _own_turn(event: RawEvent, record: Record | None, queue_of: QueueOf | None) -> BlockedKey | None:
    queue = None if queue_of is None else queue_of(record, event.key)
    return BlockedKey(event.partition, queue, event.offset) if queue else None
