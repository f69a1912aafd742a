"""The one guard around every record of every stage, with the only broad `except` of the program.

Called by the stage. It ends in one of three: changes to make durable; a dead letter to make durable; the process
stopped with the offset uncommitted (`Unavailable`: the record is fine, something that we need is not there).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.codec import Codec, RegistryUnavailable
from schemas.records import DeadLetter, Record
from schemas.topics import Topic
from streams.runtime.changes import Changes
from streams.runtime.dead_letters import Failure, bury
from streams.runtime.delivery import Delivery, RawEvent, header_pairs, trace_headers
from streams.runtime.fail_stop import ExitCode, fail_stop
from streams.runtime.metrics import DEAD_LETTERS
from streams.runtime.policy import WorkerPolicy
from streams.runtime.ratio import DeadLetterRatio

Apply = Callable[[Delivery[Any], Changes], None]
Converse = Callable[[Delivery[Any], Changes], Awaitable[None]]


class Unavailable(Exception):
    """Something that every record needs is away; stopping and trying again loses nothing."""


@dataclass(frozen=True, slots=True)
class Route:
    """Records of `topic` go to `handler`."""

    topic: Topic
    handler: Apply | Converse


class Guard:
    """Decodes, hands over, and turns whatever is raised into an end for the record."""

    def __init__(self, stage: str, routes: tuple[Route, ...], codec: Codec, policy: WorkerPolicy) -> None:
        self._stage = stage
        self._topic_prefix = policy.topic_prefix
        self._routes: Mapping[str, Route] = {policy.topic_prefix + route.topic.name: route for route in routes}
        self._codec = codec
        self._clock = policy.clock
        self._ratio = DeadLetterRatio(policy.dead_letters)

    def apply(self, event: RawEvent) -> Changes:
        """One record of a stage that only computes."""
        route, changes, record = self._begin(event), self._changes(event), None
        try:
            record = self._codec.decode(route.topic.record, event.message.value)
            route.handler(self._delivery(event, route, record, changes), changes)
            self._ratio.count(False)
        except Exception as error:  # noqa: BLE001 - the guard: nothing may escape
            changes = self._bury(event, route, error, record)
        return changes

    async def converse(self, event: RawEvent) -> Changes:
        """One record of a stage that asks the outside. Cancellation passes through: the record comes again."""
        route, changes, record = self._begin(event), self._changes(event), None
        try:
            record = self._codec.decode(route.topic.record, event.message.value)
            await route.handler(self._delivery(event, route, record, changes), changes)  # type: ignore[misc]  # a Converse by the stage's kind
            self._ratio.count(False)
        except Exception as error:  # noqa: BLE001 - the guard: nothing may escape
            changes = self._bury(event, route, error, record)
        return changes

    def changes(self, partition: int) -> Changes:
        """Empty changes of a partition, for what time causes and not a record."""
        return Changes(self._codec, self._topic_prefix, partition)

    def _begin(self, event: RawEvent) -> Route:
        return self._routes[event.message.topic]

    def _changes(self, event: RawEvent) -> Changes:
        message = event.message
        headers = trace_headers(header_pairs(event), message.topic, message.partition, message.offset)
        return Changes(self._codec, self._topic_prefix, message.partition, headers)

    def _delivery(self, event: RawEvent, route: Route, record: Record, changes: Changes) -> Delivery[Any]:
        message = event.message
        return Delivery(record, route.topic, message.partition, message.offset, changes.headers[0][1].decode())

    def _bury(self, event: RawEvent, route: Route, error: Exception, record: Record | None) -> Changes:
        if isinstance(error, RegistryUnavailable | Unavailable):
            fail_stop(ExitCode.UNAVAILABLE, str(error))
        changes = self._changes(event)
        try:
            attempted = f"read as {route.topic.record.__name__}" if record is None else route.handler.__qualname__
            failure = Failure(self._stage, route.topic, attempted, error, record, self._clock())
            letter = bury(changes, event, failure)
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
