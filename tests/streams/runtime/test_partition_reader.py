"""Where a partition begins, and what the log is asked for, without a broker."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.types import TP

from nightdesk.messaging import clients
from nightdesk.streams.runtime.consuming import offset_gaps, rereads
from nightdesk.streams.runtime.consuming.losses import Loss
from nightdesk.streams.runtime.consuming.offset_commits import OffsetCommits
from nightdesk.streams.runtime.consuming.partition_reader import PartitionReader
from nightdesk.streams.runtime.consuming.quarantine import QUARANTINE_AFTER, Note, decode, encode
from nightdesk.streams.runtime.consuming.rereads import REREADS
from nightdesk.streams.runtime.membership.lease import Lease
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.fail_stop import ExitCode
from tests.streams.runtime.arrivals import arrival

PLACE = TP("t.ingest", 0)
LOG_START, LOG_END = 3, 50


class Quarantined:
    """Losses that keep what was quarantined, and what the group had noted when a record was decoded for it."""

    def __init__(self, group: "Group") -> None:
        self._group = group
        self.notes: list[Note] = []
        self.records: list[Any] = []

    async def read(self, event: Any) -> Any:
        self.notes.append(decode(self._group.noted[-1].metadata))
        return event.value

    def quarantine(self, _event: Any, record: Any, finish: Any) -> None:
        self.records.append(record)
        finish()


class Group:
    """A consumer of a group that has committed `committed` (None: nothing yet), of a log from 3 to 50."""

    def __init__(self, committed: int | None, metadata: str = "") -> None:
        self.consumer = self._thread = self._consumer = self._coordinator = self
        self._answer = OffsetAndMetadata(-1 if committed is None else committed, metadata)
        self.noted: list[OffsetAndMetadata] = []
        self.sought: list[int] = []
        self.thread_loop: asyncio.AbstractEventLoop | None = None

    async def call_thread(self, asked: Any, *arguments: Any) -> Any:
        return await asked(*arguments)

    async def fetch_committed_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
        return dict.fromkeys(places, self._answer)

    async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, LOG_END)

    async def earliest_offsets(self, place: TP) -> dict[TP, int]:
        return {place: LOG_START}

    async def seek(self, _place: TP, offset: int) -> None:
        self.sought.append(offset)

    async def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        self.noted += offsets.values()


def reader(group: Group, losses: Quarantined | None = None, topic_id: str = "") -> PartitionReader:
    policy = WorkerPolicy({}, "t.", 1, "w0")
    lease = Lease(policy.session_timeout_s, policy.rebalance_timeout_s)
    commits = OffsetCommits(group, lease, policy, lambda _: topic_id)  # type: ignore[arg-type]  # its own parts only
    return PartitionReader("ingest", group, policy, commits, losses)  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize(
    ("committed", "begins_at"),
    [
        (7, 7),
        (LOG_END, LOG_END),
        (None, LOG_START),  # a group's first start: what was deleted before it was never its to read
        (1, 1),  # what lies below the start of the log was there, and is told to be lost when the gap is seen
        (LOG_END + 1, LOG_START),  # the offset is of another log: the topic was made anew
    ],
)
async def test_a_partition_begins_where_the_group_has_committed(committed: int | None, begins_at: int) -> None:
    partition_reader = reader(Group(committed))
    if begins_at < LOG_END:
        await partition_reader.accept(arrival(PLACE, begins_at, b"k", b"v"))
        begins_at += 1
    else:
        await partition_reader._open(PLACE)
    assert partition_reader.expected() == {PLACE: begins_at}


@pytest.mark.parametrize("how", ["as it reads", "in isolation mode", "as it ends"])
async def test_an_offset_of_another_log_of_that_name_is_no_beginning(how: str) -> None:
    """The topic was made anew and has grown beyond the offset that the last worker committed for the old one."""
    group = Group(7, encode(Note(starts=1)) if how != "as it reads" else "")
    old = reader(group, topic_id="old")
    finish = await old.accept(arrival(PLACE, 7, b"k", b"v"))
    assert finish is not None
    if how == "as it reads":
        finish()
        assert await old.commit()
    if how == "as it ends":
        group.thread_loop = asyncio.get_running_loop()
        await asyncio.to_thread(old._quarantine._leave, ExitCode.TOPIC_CHANGED)
    left = group.noted[-1]
    begun = {}
    for topic_id in ("old", "new", ""):
        successor = reader(Group(left.offset, left.metadata), topic_id=topic_id)
        await successor._open(PLACE)
        begun[topic_id] = successor.expected()[PLACE]
    assert begun == {"old": left.offset, "new": LOG_START, "": left.offset}


async def test_a_start_is_noted_beside_the_offset_if_there_is_work() -> None:
    at_the_end, behind = Group(LOG_END), Group(7)
    for group in (at_the_end, behind):
        await reader(group)._open(PLACE)
    assert at_the_end.noted == []
    [noted] = behind.noted
    assert (noted.offset, decode(noted.metadata)) == (7, Note(starts=1))


@pytest.mark.parametrize(
    ("tries", "decoded_at", "quarantined"),
    [
        (QUARANTINE_AFTER - 1, [], []),
        (QUARANTINE_AFTER, [Note(2, QUARANTINE_AFTER + 1)], [b"v"]),
        (QUARANTINE_AFTER + 1, [], [None]),
    ],
)
async def test_a_record_is_decoded_for_its_letter_once_and_only_after_that_is_noted(
    tries: int, decoded_at: list[Note], quarantined: list[bytes | None]
) -> None:
    """Decoding may be what ends the process: the next one finds the note, and sets the bytes aside as they are."""
    group = Group(7, encode(Note(1, tries)))
    losses = Quarantined(group)
    partition_reader = reader(group, losses)
    finish = await partition_reader.accept(arrival(PLACE, 7, b"k", b"v"))
    assert (losses.notes, losses.records) == (decoded_at, quarantined)
    assert (finish is None) == bool(quarantined)
    assert partition_reader.expected() == {PLACE: 8}


async def test_a_record_that_is_reported_lost_while_it_is_noted_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was deleted while it was in hand, and the log watch saw that first."""
    lost: list[Loss] = []

    class Watched(Group):
        async def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
            if partition_reader.expected():
                await partition_reader.look_for_gap(PLACE, 7)

    monkeypatch.setattr(offset_gaps, "look_from", lambda _config, _place, _offset: offset_gaps.Found(12, 12))
    losses: Any = SimpleNamespace(report=lambda loss, _finish: lost.append(loss))
    partition_reader = reader(Watched(7, encode(Note(starts=1))), losses)
    assert await partition_reader.accept(arrival(PLACE, 7, b"k", b"v")) is None
    assert lost == [Loss(PLACE, 7, 12)]


def test_the_log_is_asked_for_committed_records_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise an aborted record counts as one that the stage skipped, and the process ends."""
    told: list[dict[str, Any]] = []

    def consumer(config: dict[str, Any]) -> Any:
        told.append(config)
        return SimpleNamespace(assign=lambda _: None, poll=lambda _: None, close=lambda: None)

    monkeypatch.setattr(clients, "Consumer", consumer)
    assert offset_gaps.look_from({}, ("t", 0), 5) is None
    [config] = told
    assert (config["isolation.level"], config["enable.partition.eof"]) == ("read_committed", True)


async def _taken(partition_reader: PartitionReader, *offsets: int) -> list[int]:
    """Which of the records are accepted, in the order in which they come."""
    return [at for at in offsets if await partition_reader.accept(arrival(PLACE, at, b"k", b"v")) is not None]


def _log_has(monkeypatch: pytest.MonkeyPatch, next_offset: int | None) -> None:
    found = None if next_offset is None else offset_gaps.Found(next_offset, LOG_START)
    monkeypatch.setattr(offset_gaps, "look_from", lambda _config, _place, _offset: found)


async def test_what_was_fetched_and_dropped_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _log_has(monkeypatch, 8)
    group = Group(7)
    partition_reader = reader(group)
    assert await _taken(partition_reader, 7, 10, 11) == [7]
    assert group.sought == [8], "the second record is of the same fetch"
    assert await _taken(partition_reader, 12, 8, 9, 10, 11, 12) == [8, 9, 10, 11, 12]
    assert group.sought == [8]


async def test_a_hole_in_the_log_is_passed_over_and_nothing_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _log_has(monkeypatch, 10)
    group = Group(7)
    assert await _taken(reader(group), 7, 10, 11) == [7, 10, 11]
    assert group.sought == []


async def test_a_hole_is_passed_over_though_the_log_did_not_answer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _log_has(monkeypatch, None)
    group = Group(7)
    partition_reader = reader(group)
    assert await _taken(partition_reader, 7, 10, 11) == [7]
    _log_has(monkeypatch, 10)
    assert await _taken(partition_reader, 10, 11) == [10, 11]
    assert group.sought == [8]


@pytest.mark.parametrize("log_has", [8, None])
async def test_what_is_never_delivered_ends_the_process_and_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, log_has: int | None
) -> None:
    """Also if the broker does not say what the log has."""

    def end(code: ExitCode, _reason: str) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(rereads, "fail_stop", end)
    _log_has(monkeypatch, log_has)
    group = Group(7)
    partition_reader = reader(group)
    assert await _taken(partition_reader, 7, *([10, 11] * REREADS)) == [7]
    assert group.sought == [8] * REREADS
    with pytest.raises(SystemExit) as ended:
        await _taken(partition_reader, 10)
    assert ended.value.code == ExitCode.GAP


async def test_each_place_has_its_own_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group(7)
    partition_reader = reader(group)
    for first in range(7, 7 + 2 * REREADS):
        _log_has(monkeypatch, first)
        assert await _taken(partition_reader, first + 1, first) == [first]
    assert group.sought == list(range(7, 7 + 2 * REREADS))


async def test_after_a_revocation_the_skipped_records_are_somebody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is asked anew when the partition comes back: meanwhile the records can have been deleted."""
    _log_has(monkeypatch, 8)
    group = Group(7)
    partition_reader = reader(group)
    assert await _taken(partition_reader, 7, 10) == [7]
    partition_reader.on_revoked()
    _log_has(monkeypatch, 10)
    group._answer = OffsetAndMetadata(8, "")
    assert await _taken(partition_reader, 10) == [10]
    assert group.sought == [8]
