"""Which local state is of use at a start, and what a worker does with the rest: it throws it away and says so."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from nightdesk.messaging.failures import Failure
from nightdesk.messaging.producer import Message, Span
from nightdesk.streams.api.state_store import Put, StateStore
from nightdesk.streams.runtime.state.local_state import BEHIND_AT_MOST_S, ChangelogEnd, LocalState
from nightdesk.streams.runtime.state.placement import local_state as placed
from nightdesk.streams.runtime.state.state_folder import StateFolder
from nightdesk.streams.runtime.state.stored_form import Identity

CACHE_BYTES = 16 * 1024 * 1024


@dataclass
class Broker:
    """What a broker says of a changelog; `end` for all of its partitions."""

    cluster_id: str = "cluster"
    topic_id: str = "topic"
    end: int = 1
    program_format: int = 1

    def look(self, topic: str, partitions: Sequence[int]) -> Mapping[int, ChangelogEnd]:
        identity = Identity(cluster_id=self.cluster_id, topic_id=self.topic_id, program_format=self.program_format)
        return dict.fromkeys(partitions, ChangelogEnd(identity, self.end))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StateFolder]:
    folder = StateFolder(tmp_path, CACHE_BYTES)
    yield folder
    folder.close()


async def _start(folder: StateFolder, broker: Broker) -> tuple[LocalState, StateStore]:
    local, store = LocalState(folder, broker), StateStore("facts")
    await local.prepare(store, [0, 1])
    for partition in (0, 1):
        store.begin_term(partition, 5)
    return local, store


async def _one_fact(folder: StateFolder) -> None:
    local, store = await _start(folder, Broker(end=0))
    message = store.write(Put(store, 0, b"key", b"value", 0.0))
    local.acknowledged([(store, message)], {("facts-changelog", 0): Span(0, 0, 1)})


async def test_what_was_stored_is_there_again_and_only_the_rest_is_read(folder: StateFolder) -> None:
    await _one_fact(folder)
    local, store = await _start(folder, Broker(end=1))
    assert store.get(0, "key") == b"value"
    assert (local.offset("facts-changelog", 0), local.offset("facts-changelog", 1)) == (1, None)


@pytest.mark.parametrize(
    ("broker", "because"),
    [
        (Broker(cluster_id="other"), "of another cluster"),
        (Broker(topic_id="made anew"), "of an earlier topic"),
        (Broker(program_format=2), "format 1, and this program has 2"),
        (Broker(end=0), "ahead of its changelog (1 of 0)"),
    ],
)
async def test_what_belongs_to_something_else_is_thrown_away(
    folder: StateFolder, broker: Broker, because: str, caplog: pytest.LogCaptureFixture
) -> None:
    await _one_fact(folder)
    local, store = await _start(folder, broker)
    assert store.get(0, "key") is None
    assert local.offset("facts-changelog", 0) is None
    [said] = [record.getMessage() for record in caplog.records]
    assert because in said
    assert "facts-changelog/0" in said
    assert "thrown away" in said
    message = store.write(Put(store, 0, b"new", b"value", 0.0))
    local.acknowledged([(store, message)], {("facts-changelog", 0): Span(0, 0, 1)})
    caplog.clear()
    _, again = await _start(folder, Broker(**{**broker.__dict__, "end": 1}))
    assert dict(again.items(0)) == {b"new": b"value"}, "it belongs to the new one now"
    assert not caplog.records


async def test_what_may_have_missed_deletions_is_thrown_away(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await _one_fact(folder)
    late = time.time() + BEHIND_AT_MOST_S + 3600
    monkeypatch.setattr(time, "time", lambda: late)
    _, store = await _start(folder, Broker(end=1))
    assert store.get(0, "key") == b"value", "the changelog has nothing new, so nothing was missed"
    _, store = await _start(folder, Broker(end=2))
    assert store.get(0, "key") is None
    assert "13 hours ago" in caplog.records[0].getMessage()


async def test_a_partition_that_was_taken_from_us_meanwhile_is_left_alone(folder: StateFolder) -> None:
    local, store = await _start(folder, Broker(end=0))
    message: Message = store.write(Put(store, 0, b"key", b"value", 0.0))
    store.clear()
    local.acknowledged([(store, message)], {("facts-changelog", 0): Span(0, 0, 1)})
    assert local.offset("facts-changelog", 0) is None


def test_the_second_worker_on_a_folder_is_told_what_to_do(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "app", CACHE_BYTES)
    with pytest.raises(Failure, match=r"another process uses .*NIGHTDESK_WORKER__STATE_DIR"):
        placed(tmp_path / "app", CACHE_BYTES, {"bootstrap.servers": "127.0.0.1:1"})
    folder.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match=r"app cannot be used: .*NIGHTDESK_WORKER__STATE_DIR"):
        placed(tmp_path / "file" / "app", CACHE_BYTES, {"bootstrap.servers": "127.0.0.1:1"})


def test_without_a_folder_tables_are_in_memory() -> None:
    assert placed(None, CACHE_BYTES, {"bootstrap.servers": "127.0.0.1:1"}) is None
