"""The protections of the core, each with the small patch that takes it away.

`test_without.py` holds that the seeds find each of them gone: a protection that can be removed unnoticed is none, and
a simulator that finds nothing may look at nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

from processors.ledger import Account
from streams.runtime.changes import Changes
from streams.runtime.positions import Position
from streams.stages import approvals
from streams.stages.calls import Calls
from streams.stages.decide import Attempt, Decide
from streams.stages.errands import Kept
from tests.simulator.process import Done, Process
from tests.simulator.tables import MemoryTable

Taken = Callable[[], AbstractContextManager[Any]]


def in_order_acks() -> AbstractContextManager[Any]:
    """A record that finishes is committed, whatever before it has not."""

    def finish(self: Position, offset: int) -> None:
        self.committable = max(self.committable, offset + 1)

    return patch.object(Position, "finish", finish)


def awaited_changelog() -> AbstractContextManager[Any]:
    """Facts are sent, and nobody waits until they are durable."""
    submit = Process.submit

    def at_once(self: Process, changes: Changes, done: Done) -> None:
        words, facts = changes.empty(), changes.empty()
        words.messages, words.puts_once_said = changes.messages, changes.puts_once_said
        facts.puts = changes.puts
        for put in facts.puts:
            put.table.write(put)
        submit(self, words, done)
        submit(self, facts, lambda: None)

    return patch.object(Process, "submit", at_once)


def timers_marked_when_said() -> AbstractContextManager[Any]:
    """A timer is marked as said before it durably was."""
    return patch.object(Changes, "put_once_said", Changes.put)


def attempt_record() -> AbstractContextManager[Any]:
    """A question to a model is asked without being recorded first."""
    return _unrecorded("asked")


def recorded_reply() -> AbstractContextManager[Any]:
    """A model's answer is used without being recorded first."""
    return _unrecorded("replied")


def _unrecorded(state: str) -> AbstractContextManager[Any]:
    record = Decide._record

    async def some(self: Decide, attempt: Attempt, key: str, changes: Changes) -> None:
        if attempt.state != state:
            await record(self, attempt, key, changes)

    return patch.object(Decide, "_record", some)


def intent_record() -> AbstractContextManager[Any]:
    """A call that must not be repeated is made without being recorded first."""
    return patch.object(Kept, "with_intent", lambda kept, _step: kept)


def kill_switch() -> AbstractContextManager[Any]:
    """Nobody asks for orders before a call."""
    return patch.object(Calls, "_check_orders", lambda *_: None)


def approval_hash() -> AbstractContextManager[Any]:
    """An answer counts, whatever it was an answer to."""
    return patch.object(approvals, "_problem_with", lambda *_: None)


def settle_by_fact() -> AbstractContextManager[Any]:
    """Money adds up, instead of one fact taking the place of another."""
    replace = Account.replace
    return patch.object(Account, "replace", lambda self, _before, after: replace(self, None, after))


@contextmanager
def _forgetting(name: str) -> Iterator[None]:
    """A table that nobody reads: the same id again is new again."""
    read = MemoryTable.read

    def nothing(self: MemoryTable, partition: int, key: str) -> bytes | None:
        return None if self.name == name else read(self, partition, key)

    with patch.object(MemoryTable, "read", nothing):
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
        )
    },
    **{
        f"dedupe_by_{table}": partial(_forgetting, table)
        for table in ("seen", "ledger", "replies", "progress", "timers")
    },
}
