"""Which record is quarantined after how many ends of the process, known only from notes beside the committed offset."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.streams.runtime.consuming import quarantine as module
from nightdesk.streams.runtime.consuming.quarantine import QUARANTINE_AFTER, Note, Quarantine, decode, encode
from nightdesk.streams.runtime.process.fail_stop import ExitCode

PLACE = TP("ingest", 0)
NOTES = st.builds(Note, st.integers(0, 1000), st.integers(0, 1000))


@given(NOTES)
def test_a_note_comes_back_as_it_was(note: Note) -> None:
    assert decode(encode(note)) == note


@given(st.text() | st.binary().map(lambda value: value.decode("latin-1")))
def test_what_another_tool_wrote_there_is_no_note(metadata: str) -> None:
    assert decode(metadata) == Note()


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "null",
        "[1]",
        '"starts"',
        '{"starts": 1}',
        '{"starts": "1", "tries": 0}',
        '{"starts": -1, "tries": 0}',
        '{"starts": 1.5, "tries": 0}',
        '{"starts": true, "tries": 0}',
        '{"starts": 1000000, "tries": 0}',
        "[" * 5000,
    ],
)
def test_a_note_that_is_none(metadata: str) -> None:
    assert decode(metadata) == Note()


def test_no_note_is_no_metadata() -> None:
    """As an ordinary commit leaves it."""
    assert encode(Note()) == ""


@pytest.mark.parametrize(
    ("note", "isolated", "quarantined"),
    [
        (Note(), False, False),
        (Note(starts=1), False, False),
        (Note(starts=2), True, False),
        (Note(starts=1, tries=1), True, False),
        (Note(starts=9, tries=QUARANTINE_AFTER - 1), True, False),
        (Note(starts=9, tries=QUARANTINE_AFTER), True, True),
    ],
)
def test_what_a_note_means(note: Note, isolated: bool, quarantined: bool) -> None:
    assert (note.is_isolated, note.must_quarantine) == (isolated, quarantined)


class Broker:
    """What a consumer's commits leave: an offset and its metadata."""

    def __init__(self) -> None:
        self.offset, self.metadata = 0, ""
        self.consumer = SimpleNamespace(_thread=self)
        self._consumer = self
        self.thread_loop = asyncio.get_running_loop()

    async def call_thread(self, commit: Any, request: Any) -> None:
        await commit(request)

    async def commit(self, request: dict[TopicPartition, OffsetAndMetadata]) -> None:
        [(self.offset, self.metadata)] = request.values()


class Partition:
    """One partition over many processes, each of which handles records as the intake does."""

    def __init__(self, records: list[str]) -> None:
        self.records, self.broker = records, Broker()
        self.done: list[int] = []
        self.quarantined: list[int] = []
        self.decoded: list[int] = []

    async def run(self, killed_after: int | None = None) -> bool:
        """One process, killed from outside after so many records. Returns whether it reached the end."""
        quarantine: Any = Quarantine(self.broker)  # type: ignore[arg-type]  # of an app only its consumer is asked
        first = self.broker.offset
        await quarantine.start(PLACE, first, self.broker.metadata, len(self.records))
        for at in range(first, len(self.records)):
            if at - first == killed_after:
                return False
            if PLACE in quarantine and quarantine.must_quarantine(PLACE, at):
                if quarantine.may_decode(PLACE, at):
                    await quarantine.take_in_hand(PLACE, at)
                    if self.records[at] == "deadly to decode":
                        return False
                    self.decoded.append(at)
                self.quarantined.append(at)
                continue
            if PLACE in quarantine:
                await quarantine.take_in_hand(PLACE, at)
            if self.records[at] != "good":
                return False
            self.done.append(at)
            if PLACE in quarantine:  # one at a time takes long enough for the ordinary commit to come between
                self.broker.offset, self.broker.metadata = at + 1, ""
        self.broker.offset, self.broker.metadata = len(self.records), ""
        return True


@given(st.lists(st.sampled_from(["good", "good", "good", "deadly", "deadly to decode"]), max_size=12))
async def test_all_that_is_deadly_is_set_aside_and_nothing_else(records: list[str]) -> None:
    """After the first end, which has no culprit, and those with the record in progress. Decoding a record to name its
    case ends one process at most.
    """
    partition = Partition(records)
    decoding = records.count("deadly to decode")
    for _ in range(1 + (1 + QUARANTINE_AFTER) * (records.count("deadly") + decoding) + decoding):
        if await partition.run():
            break
    assert partition.broker.offset == len(records)
    assert partition.quarantined == [at for at, kind in enumerate(records) if kind != "good"]
    assert partition.decoded == [at for at, kind in enumerate(records) if kind == "deadly"]
    assert set(partition.done) == {at for at, kind in enumerate(records) if kind == "good"}


@given(st.integers(1, 12), st.lists(st.integers(1, 3), max_size=30))
async def test_kills_from_outside_set_nothing_aside_where_something_is_done(count: int, kills: list[int]) -> None:
    partition = Partition(["good"] * count)
    for killed_after in kills:
        await partition.run(killed_after)
    await partition.run()
    assert partition.quarantined == []


# A record can block the loop, never end, or have a dead letter that cannot be created.
COUNTED = (ExitCode.FROZEN, ExitCode.NO_PROGRESS, ExitCode.DEAD_LETTER_FAILED)


@pytest.mark.parametrize("code", ExitCode)
async def test_an_exit_that_no_record_causes_is_not_counted(code: ExitCode) -> None:
    """However often it comes while the same record is in hand: the clock, a lost lease, an order to stop."""
    broker = Broker()
    broker.offset, broker.metadata = 3, encode(Note(starts=1))
    for _ in range(2 * QUARANTINE_AFTER):
        quarantine = Quarantine(broker)  # type: ignore[arg-type]  # as above
        await quarantine.start(PLACE, 3, broker.metadata, 9)
        if PLACE in quarantine:
            await quarantine.take_in_hand(PLACE, 3)
        await asyncio.to_thread(quarantine._leave, code)
    assert decode(broker.metadata).must_quarantine == (code in COUNTED)


async def test_a_broker_that_does_not_answer_stops_no_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The note stays, so this exit counts."""
    broker = Broker()
    quarantine = Quarantine(broker)  # type: ignore[arg-type]  # as above
    await quarantine.start(PLACE, 3, encode(Note(starts=1)), 9)
    await quarantine.take_in_hand(PLACE, 3)

    async def never(_request: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(broker, "commit", never)
    monkeypatch.setattr(module, "FINAL_COMMIT_TIMEOUT_S", 0.01)
    await asyncio.to_thread(quarantine._leave, ExitCode.OWNERSHIP_LOST)
    assert decode(broker.metadata) == Note(starts=2, tries=1)


async def test_a_partition_with_nothing_to_do_has_done_nothing_in_vain() -> None:
    broker = Broker()
    for _ in range(5):
        await Quarantine(broker).start(PLACE, 7, broker.metadata, 7)  # type: ignore[arg-type]
    assert broker.metadata == ""
