"""State before output, output before the commit, groups in order, and no writes after the partitions are revoked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable

import pytest

from nightdesk.messaging.changelog import ENVELOPE
from nightdesk.messaging.producer import Message, Span, Spans
from nightdesk.schemas.dead_letters import Original
from nightdesk.schemas.records import AuditRecord
from nightdesk.schemas.topics import AUDIT
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.api.staged_writes import Oversized
from nightdesk.streams.api.state_store import StateStore
from nightdesk.streams.runtime.state.committer import GROUPS_AT_ONCE, LINGER_S, Committer
from tests.streams.audit_samples import audit_record
from tests.streams.fault_injection.conversation import local_codec
from tests.streams.runtime.memory import HeldProducer, table, turns


class NotTheOwner(Exception):
    """Raised instead of ending the process."""


class Scene:
    """A committer, what it sent, and which records are done."""

    def __init__(self) -> None:
        self.producer = HeldProducer()
        self.is_busy = False
        # The next so many times that it is asked the process still owns its partitions.
        self.owner_for = 1_000_000
        self.committer = Committer(self.producer, self.alive, lambda: self.is_busy)  # type: ignore[arg-type]  # its one method is the port
        self.facts = table("facts")
        self.done: list[str] = []

    def alive(self) -> None:
        if not self.owner_for:
            raise NotTheOwner
        self.owner_for -= 1

    def finisher(self, name: str) -> Callable[[], None]:
        return lambda: self.done.append(name)

    def writes(self, *, fact: str | None = None, word: str | None = None) -> StagedWrites:
        writes = StagedWrites(local_codec(), "t.", partition=1)
        if fact is not None:
            writes.put(self.facts, "key", fact.encode())
        if word is not None:
            writes.send(AUDIT, "subject", word.encode())
        return writes

    def said(self) -> list[bytes | None]:
        return [value for sent in self.producer.sent if "t.audit" in sent.topics for value in sent.values]


@pytest.fixture
async def scene() -> Scene:
    return Scene()


def _fact(value: bytes | None) -> bytes:
    assert value is not None
    return value[ENVELOPE.size :]


async def test_nothing_is_said_before_the_facts_are_durable_and_nothing_done_before_it_is_said(scene: Scene) -> None:
    scene.committer.submit(scene.writes(fact="f", word="w"), scene.finisher("one"))
    await turns()
    [facts] = scene.producer.sent
    assert facts.topics == {scene.facts.changelog_topic}
    assert facts.messages[0].partition == 1
    facts.deliver()
    await turns()
    [_, words] = scene.producer.sent
    assert words.values == [b"w"]
    assert scene.done == []
    words.deliver()
    await turns()
    assert scene.done == ["one"]


async def test_a_put_after_emit_waits_until_the_record_is_emitted(scene: Scene) -> None:
    writes = scene.writes(word="w")
    writes.put_after_emit(scene.facts, "key", b"said")
    scene.committer.submit(writes, scene.finisher("one"))
    await turns()
    [words] = scene.producer.sent
    assert (words.topics, scene.facts.get(1, "key")) == ({"t.audit"}, None)
    words.deliver()
    await turns()
    [_, facts] = scene.producer.sent
    assert (facts.topics, scene.facts.get(1, "key")) == ({scene.facts.changelog_topic}, b"said")
    facts.deliver()
    await turns()
    assert scene.done == ["one"]


async def test_what_comes_in_one_turn_is_one_group_and_a_key_is_written_once(scene: Scene) -> None:
    scene.committer.submit(scene.writes(fact="first"), scene.finisher("one"))
    scene.committer.submit(scene.writes(fact="last"), scene.finisher("two"))
    await turns()
    [facts] = scene.producer.sent
    assert [_fact(value) for value in facts.values] == [b"last"]
    facts.deliver()
    await turns()
    assert scene.done == ["one", "two"]


async def test_a_group_that_will_grow_lingers_and_no_other_does(scene: Scene) -> None:
    scene.is_busy = True
    scene.committer.submit(scene.writes(word="first"), scene.finisher("first"))
    await turns()
    assert scene.said() == []
    await asyncio.sleep(2 * LINGER_S)
    assert scene.said() == [b"first"]
    scene.is_busy = False
    scene.committer.submit(scene.writes(word="second"), scene.finisher("second"))
    await turns()
    assert scene.said() == [b"first", b"second"]


async def test_groups_are_said_in_the_order_in_which_they_were_formed(scene: Scene) -> None:
    scene.committer.submit(scene.writes(fact="slow", word="first"), scene.finisher("one"))
    await turns()
    scene.committer.submit(scene.writes(word="second"), scene.finisher("two"))
    await turns()
    assert scene.said() == [], "the second group has no facts, and still waits for the first"
    scene.producer.sent[0].deliver()
    await turns()
    assert scene.said() == [b"first", b"second"]


async def test_what_comes_while_two_groups_are_under_way_goes_out_together(scene: Scene) -> None:
    for number in range(GROUPS_AT_ONCE):
        scene.committer.submit(scene.writes(word=f"first {number}"), scene.finisher(f"first {number}"))
        await turns()
    for number in range(5):
        scene.committer.submit(scene.writes(word=f"later {number}"), scene.finisher(f"later {number}"))
        await turns()
    assert len(scene.said()) == GROUPS_AT_ONCE
    scene.producer.sent[0].deliver()
    await turns()
    assert [len(sent.messages) for sent in scene.producer.sent if sent.messages] == [1, 1, 5]


async def test_what_is_abandoned_is_never_said_and_never_done(scene: Scene) -> None:
    scene.committer.submit(scene.writes(fact="f", word="w"), scene.finisher("under way"))
    await turns()
    scene.committer.submit(scene.writes(word="x"), scene.finisher("not begun"))
    scene.committer.abandon()
    await turns()
    assert scene.said() == []
    assert scene.done == []
    assert scene.producer.sent[0].future.cancelled(), "and nobody waits for it"


async def test_words_that_were_under_way_when_abandoned_finish_nothing(scene: Scene) -> None:
    scene.committer.submit(scene.writes(word="w"), scene.finisher("one"))
    await turns()
    scene.committer.abandon()
    await turns()
    assert scene.said() == [b"w"]
    assert scene.done == []


async def test_after_abandoning_new_groups_do_not_wait_for_old_ones(scene: Scene) -> None:
    scene.committer.submit(scene.writes(fact="never delivered", word="old"), scene.finisher("old"))
    await turns()
    scene.committer.abandon()
    scene.committer.submit(scene.writes(word="new"), scene.finisher("new"))
    await turns()
    assert scene.said() == [b"new"]


async def test_commit_returns_when_the_step_is_durable(scene: Scene) -> None:
    step = asyncio.create_task(scene.committer.commit(scene.writes(fact="intent")))
    await turns()
    assert not step.done()
    scene.producer.sent[0].deliver()
    await turns()
    assert step.done()


async def test_a_fact_is_in_memory_from_the_submit_on(scene: Scene) -> None:
    scene.committer.submit(scene.writes(fact="f"), scene.finisher("one"))
    assert scene.facts.get(1, "key") == b"f"


def test_an_empty_fact_is_an_error() -> None:
    facts: StateStore = table("facts")
    with pytest.raises(ValueError, match="never empty"):
        StagedWrites(local_codec(), "t.", 0).put(facts, "key", b"")


@pytest.mark.parametrize(("owner_for", "sent"), [(0, []), (1, ["facts"]), (2, ["facts", "words"])])
async def test_who_does_not_own_the_partition_any_more_writes_and_says_nothing(
    scene: Scene, owner_for: int, sent: list[str]
) -> None:
    """Checked before the state is sent, and again before the output."""
    scene.owner_for = owner_for
    scene.committer.submit(scene.writes(fact="f", word="w"), scene.finisher("one"))
    await turns()
    for one in scene.producer.sent:
        one.deliver()
    await turns()
    assert ["words" if "t.audit" in one.topics else "facts" for one in scene.producer.sent] == sent
    assert scene.done == []


class Disk:
    """Notes what is stored on it, and how many sends there were before."""

    def __init__(self, producer: HeldProducer) -> None:
        self.producer = producer
        self.stored: list[tuple[int, list[bytes | None], Spans]] = []

    def acknowledged(self, facts: Iterable[tuple[StateStore, Message]], spans: Spans) -> None:
        self.stored.append((len(self.producer.sent), [message.value for _, message in facts], spans))


async def test_facts_are_kept_on_disk_when_the_broker_has_them_and_before_anything_is_said(scene: Scene) -> None:
    disk = Disk(scene.producer)
    scene.committer = Committer(scene.producer, scene.alive, lambda: False, disk=disk)  # type: ignore[arg-type]  # its one method is the port
    scene.committer.submit(scene.writes(fact="f", word="w"), scene.finisher("one"))
    await turns()
    assert disk.stored == []
    scene.producer.sent[0].deliver()
    await turns()
    [(sends, [value], spans)] = disk.stored
    assert (sends, _fact(value)) == (1, b"f")
    assert spans == {(scene.facts.changelog_topic, 1): Span(0, 0, 1)}
    assert scene.said() == [b"w"]


async def test_facts_that_are_abandoned_are_not_kept_on_disk(scene: Scene) -> None:
    disk = Disk(scene.producer)
    scene.committer = Committer(scene.producer, scene.alive, lambda: False, disk=disk)  # type: ignore[arg-type]  # its one method is the port
    scene.committer.submit(scene.writes(fact="f"), scene.finisher("one"))
    await turns()
    scene.producer.sent[0].deliver()
    scene.committer.abandon()
    await turns()
    assert disk.stored == []


async def test_facts_of_a_group_whose_record_is_too_large_still_go_before_those_of_the_next(scene: Scene) -> None:
    """To keep the record takes a while, on a thread; the same key in the next group must be the later write."""
    held = threading.Event()
    scene.committer = Committer(scene.producer, scene.alive, lambda: False, keep=lambda *_: held.wait(10))  # type: ignore[arg-type]  # its one method is the port
    first = scene.writes(fact="first", word="w")
    first.oversized.append(Oversized("letter", Original(None, b"v", ())))
    scene.committer.submit(first, scene.finisher("one"))
    await turns()
    scene.committer.submit(scene.writes(fact="second"), scene.finisher("two"))
    await turns()
    held.set()
    facts = [_fact(value) for sent in scene.producer.sent if "t.audit" not in sent.topics for value in sent.values]
    assert facts == [b"first", b"second"]


class Audited:
    """A committer that notes of which audit records it was told."""

    def __init__(self) -> None:
        self.producer = HeldProducer()
        self.told: list[AuditRecord] = []
        self.committer = Committer(self.producer, lambda: None, lambda: False, audited=self.told.extend)  # type: ignore[arg-type]  # its one method is the port

    def submit(self, record: AuditRecord) -> None:
        writes = StagedWrites(local_codec(), "t.", partition=1)
        writes.audit(record)
        self.committer.submit(writes, lambda: None)


async def test_audit_records_are_told_when_they_are_durable_and_not_before() -> None:
    scene, record = Audited(), audit_record("acted", "completed")
    scene.submit(record)
    await turns()
    [sent] = [sent for sent in scene.producer.sent if sent.messages]
    assert scene.told == []
    sent.deliver()
    await turns()
    assert scene.told == [record]


async def test_audit_records_that_are_abandoned_are_not_told() -> None:
    scene = Audited()
    scene.submit(audit_record("acted", "completed"))
    await turns()
    scene.committer.abandon()
    await turns()
    assert scene.told == []
