"""A commit that fails or hangs is no success, and one that keeps failing ends the process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.types import TP

from nightdesk.streams.runtime.consuming import offset_commits
from nightdesk.streams.runtime.consuming.offset_commits import OffsetCommits
from nightdesk.streams.runtime.consuming.offset_tracker import OffsetTracker
from nightdesk.streams.runtime.consuming.partition_reader import PartitionReader
from nightdesk.streams.runtime.membership import lease as lease_module
from nightdesk.streams.runtime.membership.coordinator import PartialAnswer
from nightdesk.streams.runtime.membership.lease import Lease
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.fail_stop import ExitCode

POLICY = WorkerPolicy({}, "t.", 1, "w0", session_timeout_s=0.2, commit_interval_s=0.01)
FIRST, SECOND = TP("t.act", 0), TP("t.act", 1)


class Ended(BaseException):
    """Raised when the process would end."""


class Scene:
    """An intake whose commits go to a consumer that answers as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer: Callable[[], Awaitable[None]] = self.take
        self.asked: list[dict[TopicPartition, OffsetAndMetadata]] = []
        self.now = 0.0
        self.ends: list[ExitCode] = []
        self.lease = Lease(1000.0, 1000.0, lambda: self.now)
        self.lease.renew(0.0)
        for module in (offset_commits, lease_module):
            monkeypatch.setattr(module, "fail_stop", self._end)
        monkeypatch.setattr(offset_commits, "boottime_s", lambda: self.now)
        thread = SimpleNamespace(call_thread=self._call, _consumer=SimpleNamespace(commit=self._commit))
        app: Any = SimpleNamespace(consumer=SimpleNamespace(_thread=thread))
        self.partition_reader = PartitionReader(
            "act", app, POLICY, OffsetCommits(app, self.lease, POLICY), cast(Any, None)
        )
        self.position = self.partition_reader._positions[FIRST] = OffsetTracker(5)
        self.position.accept(5)
        self.position.finish(5)

    async def take(self) -> None:
        """The broker acknowledges."""

    async def hang(self) -> None:
        await asyncio.Event().wait()

    def fail(self, error: Exception) -> None:
        async def answer() -> None:
            raise error

        self.answer = answer

    async def _call(self, function: Callable[[], Awaitable[None]]) -> None:
        await function()

    async def _commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        self.asked.append(offsets)
        await self.answer()

    def _end(self, code: ExitCode, _reason: str) -> None:
        self.ends.append(code)
        raise Ended


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


async def test_what_is_done_is_committed_once(scene: Scene) -> None:
    assert await scene.partition_reader.commit()
    assert await scene.partition_reader.commit()
    assert scene.asked == [{TopicPartition(*FIRST): OffsetAndMetadata(6, "")}]
    assert scene.position.committed == 6


@pytest.mark.parametrize(
    "error", [CommitFailedError("rebalanced"), IllegalStateError("not assigned"), PartialAnswer("half")]
)
async def test_what_failed_is_not_committed_and_is_tried_again(scene: Scene, error: Exception) -> None:
    scene.fail(error)
    assert not await scene.partition_reader.commit()
    assert scene.position.committed == 5
    scene.answer = scene.take
    assert await scene.partition_reader.commit()
    assert scene.position.committed == 6


async def test_a_commit_that_hangs_has_failed(scene: Scene) -> None:
    scene.answer = scene.hang
    assert not await scene.partition_reader.commit()
    assert scene.position.committed == 5


async def test_failing_for_longer_than_a_lease_ends_the_process(scene: Scene) -> None:
    scene.fail(CommitFailedError("no"))
    await scene.partition_reader.commit()
    scene.now = POLICY.lease_s - 0.01
    await scene.partition_reader.commit()
    scene.now = POLICY.lease_s
    with pytest.raises(Ended):
        await scene.partition_reader.commit()
    assert scene.ends == [ExitCode.CANNOT_WRITE]


async def test_a_success_between_failures_counts(scene: Scene) -> None:
    scene.fail(CommitFailedError("no"))
    await scene.partition_reader.commit()
    scene.answer = scene.take
    await scene.partition_reader.commit()
    scene.position.accept(6)
    scene.position.finish(6)
    scene.fail(CommitFailedError("no"))
    scene.now = 5 * POLICY.lease_s
    assert not await scene.partition_reader.commit()


async def test_without_a_lease_the_first_failure_is_the_last(scene: Scene) -> None:
    scene.now = 10_000.0
    scene.fail(CommitFailedError("no"))
    with pytest.raises(Ended):
        await scene.partition_reader.commit()
    assert scene.ends == [ExitCode.OWNERSHIP_LOST]


async def test_partitions_that_went_while_the_commit_was_under_way_are_not_touched(scene: Scene) -> None:
    async def answer() -> None:
        scene.partition_reader.on_revoked()
        scene.partition_reader._positions[FIRST] = OffsetTracker(5)

    scene.answer = answer
    assert await scene.partition_reader.commit()
    assert scene.partition_reader._positions[FIRST].committed == 5


async def test_the_last_commit_is_tried_more_than_once(scene: Scene) -> None:
    scene.fail(CommitFailedError("rebalancing"))

    async def then_taken() -> None:
        if len(scene.asked) == 1:
            raise CommitFailedError("rebalancing")

    scene.answer = then_taken
    assert await scene.partition_reader.commit_at_last()
    assert scene.position.committed == 6


async def test_what_is_never_taken_is_no_clean_end(scene: Scene) -> None:
    scene.fail(CommitFailedError("no"))
    assert not await scene.partition_reader.commit_at_last()
