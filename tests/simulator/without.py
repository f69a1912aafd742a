"""The protections of the core, each with the small patch that removes it.

`test_without.py` verifies that the seeds detect each removal. A protection that can be removed unnoticed is none, and a
simulator that finds nothing may check nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

from nightdesk.processors.execution import ExecutionState
from nightdesk.processors.ledger import Account
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.api.state_store import StateStore
from nightdesk.streams.runtime.consuming.offset_tracker import OffsetTracker
from nightdesk.streams.runtime.handling import guard
from nightdesk.streams.runtime.handling.repartitioning import Repartitioner
from nightdesk.streams.stages import approval_checks
from nightdesk.streams.stages.halted import Halted
from nightdesk.streams.stages.questions import Attempt, Questions
from tests.simulator.process import Done, Process

Taken = Callable[[], AbstractContextManager[Any]]


def in_order_acks() -> AbstractContextManager[Any]:
    """A finished record is committed even if earlier ones are not finished."""

    def finish(self: OffsetTracker, offset: int) -> None:
        self.committable = max(self.committable, offset + 1)

    return patch.object(OffsetTracker, "finish", finish)


def awaited_changelog() -> AbstractContextManager[Any]:
    """State updates are sent, and nobody waits until they are durable."""
    submit = Process.submit

    def at_once(self: Process, writes: StagedWrites, done: Done) -> None:
        words, facts = writes.empty(), writes.empty()
        words.messages, words.puts_after_emit = writes.messages, writes.puts_after_emit
        facts.puts = writes.puts
        for put in facts.puts:
            put.store.write(put)
        submit(self, words, done)
        submit(self, facts, lambda: None)

    return patch.object(Process, "submit", at_once)


def timers_marked_when_said() -> AbstractContextManager[Any]:
    """A timer is marked as emitted before its record is durable."""
    return patch.object(StagedWrites, "put_after_emit", StagedWrites.put)


def attempt_record() -> AbstractContextManager[Any]:
    """A model is asked before the question is recorded."""
    return _unrecorded("asked")


def recorded_reply() -> AbstractContextManager[Any]:
    """A model's answer is used before it is recorded."""
    return _unrecorded("replied")


def _unrecorded(state: str) -> AbstractContextManager[Any]:
    record = Questions._record

    async def some(self: Questions, attempt: Attempt, key: str, writes: StagedWrites) -> None:
        if attempt.state != state:
            await record(self, attempt, key, writes)

    return patch.object(Questions, "_record", some)


def intent_record() -> AbstractContextManager[Any]:
    """A call that must not be repeated is made before it is recorded."""
    return patch.object(ExecutionState, "with_intent", lambda state, *_: state)


def kill_switch() -> AbstractContextManager[Any]:
    """Orders are not checked before a call."""
    return patch.object(Halted, "order_against", lambda *_: None)


def approval_hash() -> AbstractContextManager[Any]:
    """An answer counts, whatever was shown to the person."""
    return patch.object(approval_checks, "_problem_with", lambda *_: None)


def key_partition() -> AbstractContextManager[Any]:
    """An event is handled on the partition to which its producer wrote it."""
    return patch.object(Repartitioner, "is_elsewhere", lambda *_: False)


def forwarded_once() -> AbstractContextManager[Any]:
    """An event that is forwarded again counts as a new one."""
    return patch.object(guard, "origin_of", lambda _event: "")


def settle_by_fact() -> AbstractContextManager[Any]:
    """Amounts are added, instead of one fact replacing another."""
    replace = Account.replace
    return patch.object(Account, "replace", lambda self, _before, after: replace(self, None, after))


@contextmanager
def _forgetting(name: str) -> Iterator[None]:
    """A table that is never read, so the same id is new again."""
    read = StateStore.get

    def nothing(self: StateStore, partition: int, key: str) -> bytes | None:
        return None if self.name == name else read(self, partition, key)

    with patch.object(StateStore, "get", nothing):
        yield


BY_NAME: dict[str, Taken] = {
    **{
        taken.__name__: taken
        for taken in (
            in_order_acks,
            awaited_changelog,
            timers_marked_when_said,
            attempt_record,
            recorded_reply,
            intent_record,
            kill_switch,
            approval_hash,
            settle_by_fact,
            key_partition,
            forwarded_once,
        )
    },
    **{
        f"dedupe_by_{table}": partial(_forgetting, table)
        for table in ("seen", "ledger", "replies", "progress", "timers")
    },
}
