"""The one guard around every record of every stage, with the only broad `except` of the program.

Called by the stage. It ends in one of three: changes to make durable; a dead letter to make durable; the process
stopped with the offset uncommitted (`Unavailable`: the record is fine, something that we need is not there).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

from schemas.codec import Codec, RegistryUnavailable
from schemas.dead_letters import replay_of
from schemas.records import DeadLetter, Record
from schemas.topics import Topic
from streams.runtime.changes import Changes
from streams.runtime.dead_letters import Failure, bury
from streams.runtime.delivery import Delivery, RawEvent, trace_headers
from streams.runtime.fail_stop import ExitCode, fail_stop
from streams.runtime.homes import check_home
from streams.runtime.metrics import DEAD_LETTERS
from streams.runtime.parking import Parking, QueueOf
from streams.runtime.policy import WorkerPolicy
from streams.runtime.queues import Turn
from streams.runtime.ratio import DeadLetterRatio

# What is left of a record that has to wait for the outside, to be called and awaited. Not a coroutine: of one that is
# cancelled before it begins nothing must be left over.
Conversation = Callable[[], Awaitable[None]]
Handler = Callable[[Delivery[Any], Changes], Conversation | None]


def conversing(handler: Callable[[Delivery[Any], Changes], Awaitable[None]]) -> Handler:
    """The handler of a topic whose every record has to wait for the outside."""

    @wraps(handler)
    def begin(delivery: Delivery[Any], changes: Changes) -> Conversation:
        return partial(handler, delivery, changes)

    return begin


class Unavailable(Exception):
    """Something that every record needs is away; stopping and trying again loses nothing."""


@dataclass(frozen=True, slots=True)
class Route:
    """Records of `topic` go to `handler`, which is done when it returns, or gives a conversation to be held.

    `queue_of` says who waits for whom after a dead letter; none is nobody.
    """

    topic: Topic
    handler: Handler
    queue_of: QueueOf | None = None


class Guard:
    """Decodes, hands over, and turns whatever is raised into an end for the record."""

    def __init__(
        self,
        stage: str,
        routes: tuple[Route, ...],
        codec: Codec,
        policy: WorkerPolicy,
        parking: Parking | None = None,
    ) -> None:
        self._stage = stage
        self._topic_prefix = policy.topic_prefix
        self._routes: Mapping[str, Route] = {policy.topic_prefix + route.topic.name: route for route in routes}
        self._codec = codec
        self._clock = policy.clock
        self._partitions = policy.partitions
        self._ratio = DeadLetterRatio(policy.dead_letters)
        self._parking = parking

    def handle(self, event: RawEvent, turn: Turn | None = None) -> Changes | Callable[[], Awaitable[Changes]]:
        """What one record comes to, or the conversation that tells. `turn` is that of a record that had to wait and
        need not now.
        """
        route, changes, record = self._routes[event.topic], self._changes(event), None
        try:
            if self._is_end(event, changes):
                return changes
            record = self._codec.decode(route.topic.record, event.value)
            if not self._is_its_turn(event, route, record, changes, turn):
                return changes
            conversation = route.handler(self._delivery(event, route, record, changes), changes)
            if conversation is not None:
                return partial(self._converse, conversation, changes, partial(self._bury, event, route, record, turn))
            self._ratio.count(False)
        except Exception as error:  # noqa: BLE001 - the guard: nothing may escape
            changes = self._bury(event, route, record, turn, error)
        return changes

    async def _converse(
        self, conversation: Conversation, changes: Changes, bury: Callable[[Exception], Changes]
    ) -> Changes:
        """Cancellation passes through: the record comes again."""
        try:
            await conversation()
            self._ratio.count(False)
        except Exception as error:  # noqa: BLE001 - the guard: nothing may escape
            return bury(error)
        return changes

    def changes(self, partition: int) -> Changes:
        """Empty changes of a partition, for what time causes and not a record."""
        return Changes(self._codec, self._topic_prefix, partition)

    def _changes(self, event: RawEvent) -> Changes:
        headers = trace_headers(event.headers, event.topic, event.partition, event.offset)
        return Changes(self._codec, self._topic_prefix, event.partition, headers)

    def _delivery(self, event: RawEvent, route: Route, record: Record, changes: Changes) -> Delivery[Any]:
        check_home(route.topic, record, event.partition, self._partitions)
        replay = replay_of(event.headers)
        trace, letter_id = changes.headers[0][1].decode(), replay.letter_id if replay else None
        return Delivery(record, route.topic, event.partition, event.offset, trace, letter_id)

    def _is_end(self, event: RawEvent, changes: Changes) -> bool:
        return self._parking is not None and event.value is None and self._parking.is_end(event, changes)

    def _is_its_turn(self, event: RawEvent, route: Route, record: Record, changes: Changes, turn: Turn | None) -> bool:
        if self._parking is None:
            return True
        if turn is None:
            return self._parking.admits(event, record, route.queue_of, changes)
        changes.then = partial(self._parking.leave, turn=turn)
        return True

    def _bury(
        self, event: RawEvent, route: Route, record: Record | None, turn: Turn | None, error: Exception
    ) -> Changes:
        if isinstance(error, RegistryUnavailable | Unavailable):
            fail_stop(ExitCode.UNAVAILABLE, str(error))
        changes = self._changes(event)
        try:
            attempted = f"read as {route.topic.record.__name__}" if record is None else route.handler.__qualname__
            if self._parking is not None and turn is None:
                turn = self._parking.place(event, record, route.queue_of)
            failure = Failure(self._stage, route.topic, attempted, error, record, self._clock(), turn is not None)
            letter = bury(changes, event, failure)
            if self._parking is not None and turn is not None:
                self._parking.hold_up(changes, turn, letter, route.topic)
        except Exception as second:  # noqa: BLE001 - the guard: a dead letter that cannot be made must not lose the record
            fail_stop(ExitCode.DEAD_LETTER_FAILED, f"{second!r} while burying {error!r}")
        DEAD_LETTERS.labels(stage=self._stage, topic=route.topic.name, error=type(error).__name__).inc()
        self._stop_at_too_many(letter)
        return changes

    def _stop_at_too_many(self, letter: DeadLetter) -> None:
        """Before this letter is said, and so before the next commit: what is wrong is more than some records."""
        if letter.replay_of is None:
            self._ratio.count(True)
        if self._ratio.is_too_high:
            fail_stop(
                ExitCode.TOO_MANY_DEAD_LETTERS,
                f"{self._ratio.dead} of the last {self._ratio.records} records became dead letters, the last of them:"
                f" {letter.error}: {letter.message}. Nothing of this is committed. Repair the cause and start again, or"
                " let it go on with NIGHTDESK_WORKER__DEAD_LETTER_RATIO=1 (docs/how-to/dead-letters.md)",
            )
