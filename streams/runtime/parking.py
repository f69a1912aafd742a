"""Whose turn it is: after a dead letter of a subject its later records wait, where the charter says so.

Asked by the guard for every record, by the dispatcher for who comes next. A stage's route names the queue of a record;
none is the rule. A queue goes on when its first letter is replayed or discarded, which arrives on the stage's own topic
like everything else, so that one process and the order of one log decide.

What must not be forgotten in which order: a letter that begins a queue holds it up before it is said (else a later
record could slip by); whoever had a turn leaves the queue after everything was said (else a crash between the two
would lose it).
"""

from collections.abc import Callable
from functools import partial

from schemas import dead_letters
from schemas.codec import Codec
from schemas.records import DeadLetter, DeadLetterEnd, Record
from schemas.topics import Topic
from streams.runtime.changes import Changes
from streams.runtime.delivery import RawEvent
from streams.runtime.policy import Clock
from streams.runtime.queues import Queues, Turn
from streams.runtime.tables import FactTable

# The queue of a record of this key, None where it need not wait for anybody. Without a record: it could not be read.
QueueOf = Callable[[Record | None, bytes | None], str | None]
# What to remember once everything that was said is durable; gives the turn that is over, if the next may go on.
Then = Callable[[Changes], Turn | None]


class Parking:
    """The waiting of one stage."""

    def __init__(self, table: FactTable, codec: Codec, clock: Clock) -> None:
        self._queues = Queues(table)
        self._codec = codec
        self._clock = clock

    def admits(self, event: RawEvent, record: Record, queue_of: QueueOf | None, changes: Changes) -> bool:
        """Whether a record from the log may be done now. If not, it stands in line and `changes` say so."""
        if self._queues.is_empty(event.partition):
            return True
        turn = self._of_replayed(event) or _own_turn(event, record, queue_of)
        line = self._queues.line(turn.partition, turn.queue) if turn else []
        if turn is None or not line or turn.place < line[0].place:
            return True  # nothing is in its way, or it comes again from before what is
        standing = next((standing for standing in line if standing.place == turn.place), None)
        if standing is line[0] and standing.letter_id is not None:
            changes.then = partial(self.leave, turn=turn)  # the letter itself, tried again
            return True
        if standing is None or standing.letter_id is not None:
            self._queues.wait(changes, turn, event)
            self._say(changes, event, record, line[0].letter_id or "")
        return False

    def place(self, event: RawEvent, record: Record | None, queue_of: QueueOf | None) -> Turn | None:
        """Where a record stands that failed, if others have to wait for it."""
        return self._of_replayed(event) or _own_turn(event, record, queue_of)

    def hold_up(self, changes: Changes, turn: Turn, letter: DeadLetter, topic: Topic) -> None:
        """A letter holds up its queue until somebody decides, or its topic forgets it."""
        expires_at = self._clock().timestamp() + topic.retention_ms / 1000
        stood = any(standing.place == turn.place for standing in self._queues.line(turn.partition, turn.queue))
        if stood:
            changes.then = partial(self._hold_up, turn=turn, letter_id=letter.dead_letter_id, expires_at=expires_at)
        else:
            self._queues.block(changes, turn, letter.dead_letter_id, expires_at)

    def is_end(self, event: RawEvent, changes: Changes) -> bool:
        """Whether this says that a letter was discarded; then its queue goes on."""
        header = dict(event.headers).get(dead_letters.END_HEADER)
        if header is None:
            return False
        letter_id = self._codec.decode(DeadLetterEnd, header).dead_letter_id
        turn = self._queues.turn_of(event.partition, letter_id)
        if turn is not None:
            changes.then = partial(self.leave, turn=turn)
        return True

    def leave(self, changes: Changes, turn: Turn) -> Turn | None:
        """Whoever stood there is done."""
        self._queues.leave(changes, turn)
        return turn

    def next(self, partition: int, queue: str) -> tuple[Turn, RawEvent] | None:
        """The first of a queue, if it may go on."""
        return self._queues.next(partition, queue)

    def free(self, partition: int) -> list[str]:
        """Queues that a process left in the midst of going on."""
        return self._queues.free(partition)

    def expired(self, partition: int) -> list[Turn]:
        """Where letters stand that are forgotten by now."""
        return self._queues.expired(partition, self._clock().timestamp())

    def _hold_up(self, changes: Changes, turn: Turn, letter_id: str, expires_at: float) -> None:
        self._queues.block(changes, turn, letter_id, expires_at)

    def _of_replayed(self, event: RawEvent) -> Turn | None:
        replay = dead_letters.replay_of(event.headers)
        return None if replay is None else self._queues.turn_of(event.partition, replay.letter_id)

    def _say(self, changes: Changes, event: RawEvent, record: Record, behind: str) -> None:
        place = (event.topic.removeprefix(changes.topic_prefix), event.partition, event.offset)
        line = dead_letters.parked(record, behind, place, self._clock())
        changes.audit(line.model_copy(update={"traceparent": changes.headers[0][1].decode()}))


def _own_turn(event: RawEvent, record: Record | None, queue_of: QueueOf | None) -> Turn | None:
    queue = None if queue_of is None else queue_of(record, event.key)
    return Turn(event.partition, queue, event.offset) if queue else None
