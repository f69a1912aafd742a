"""State before words, words before acknowledgement, groups in order, and silence after the partitions are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from schemas.topics import AUDIT
from streams.runtime.changes import Changes
from streams.runtime.committer import GROUPS_AT_ONCE, Committer
from streams.runtime.tables import ENVELOPE, FactTable
from tests.streams.runtime.memory import HeldProducer, table, turns
from tests.streams.storm.conversation import local_codec


class Scene:
    """A committer, what it sent, and which records are done."""

    def __init__(self) -> None:
        self.producer = HeldProducer()
        self.committer = Committer(self.producer, lambda: None, lambda: 0)  # type: ignore[arg-type]  # its one method is the port
        self.facts = table("facts")
        self.done: list[str] = []

    def finisher(self, name: str) -> Callable[[], None]:
        return lambda: self.done.append(name)

    def changes(self, *, fact: str | None = None, word: str | None = None) -> Changes:
        changes = Changes(local_codec(), "t.", partition=1)
        if fact is not None:
            changes.put(self.facts, "key", fact.encode())
        if word is not None:
            changes.send(AUDIT, "subject", word.encode())
        return changes

    def said(self) -> list[bytes | None]:
        return [value for sent in self.producer.sent if "t.audit" in sent.topics for value in sent.values]


@pytest.fixture
async def scene() -> Scene:
    return Scene()


def _fact(value: bytes | None) -> bytes:
    assert value is not None
    return value[ENVELOPE.size :]


async def test_nothing_is_said_before_the_facts_are_durable_and_nothing_done_before_it_is_said(scene: Scene) -> None:
    scene.committer.submit(scene.changes(fact="f", word="w"), scene.finisher("one"))
    await turns()
    [facts] = scene.producer.sent
    assert facts.topics == {scene.facts.changelog_topic_name}
    assert facts.messages[0].partition == 1
    facts.deliver()
    await turns()
    [_, words] = scene.producer.sent
    assert words.values == [b"w"]
    assert scene.done == []
    words.deliver()
    await turns()
    assert scene.done == ["one"]


async def test_what_is_to_be_remembered_once_said_waits_until_it_is(scene: Scene) -> None:
    changes = scene.changes(word="w")
    changes.put_once_said(scene.facts, "key", b"said")
    scene.committer.submit(changes, scene.finisher("one"))
    await turns()
    [words] = scene.producer.sent
    assert (words.topics, scene.facts.read(1, "key")) == ({"t.audit"}, None)
    words.deliver()
    await turns()
    [_, facts] = scene.producer.sent
    assert (facts.topics, scene.facts.read(1, "key")) == ({scene.facts.changelog_topic_name}, b"said")
    facts.deliver()
    await scene.committer.drained()
    assert scene.done == ["one"]


async def test_what_comes_in_one_turn_is_one_group_and_a_key_is_written_once(scene: Scene) -> None:
    scene.committer.submit(scene.changes(fact="first"), scene.finisher("one"))
    scene.committer.submit(scene.changes(fact="last"), scene.finisher("two"))
    await turns()
    [facts] = scene.producer.sent
    assert [_fact(value) for value in facts.values] == [b"last"]
    facts.deliver()
    await turns()
    assert scene.done == ["one", "two"]


async def test_groups_are_said_in_the_order_in_which_they_were_formed(scene: Scene) -> None:
    scene.committer.submit(scene.changes(fact="slow", word="first"), scene.finisher("one"))
    await turns()
    scene.committer.submit(scene.changes(word="second"), scene.finisher("two"))
    await turns()
    assert scene.said() == [], "the second group has no facts, and still waits for the first"
    scene.producer.sent[0].deliver()
    await turns()
    assert scene.said() == [b"first", b"second"]


async def test_what_comes_while_two_groups_are_under_way_goes_out_together(scene: Scene) -> None:
    for number in range(GROUPS_AT_ONCE):
        scene.committer.submit(scene.changes(word=f"first {number}"), scene.finisher(f"first {number}"))
        await turns()
    for number in range(5):
        scene.committer.submit(scene.changes(word=f"later {number}"), scene.finisher(f"later {number}"))
        await turns()
    assert len(scene.said()) == GROUPS_AT_ONCE
    scene.producer.sent[0].deliver()
    await turns()
    assert [len(sent.messages) for sent in scene.producer.sent if sent.messages] == [1, 1, 5]


async def test_what_is_abandoned_is_never_said_and_never_done(scene: Scene) -> None:
    scene.committer.submit(scene.changes(fact="f", word="w"), scene.finisher("under way"))
    await turns()
    scene.committer.submit(scene.changes(word="x"), scene.finisher("not begun"))
    scene.committer.abandon()
    await turns()
    assert scene.said() == []
    assert scene.done == []
    assert scene.producer.sent[0].future.cancelled(), "and nobody waits for it"


async def test_words_that_were_under_way_when_abandoned_finish_nothing(scene: Scene) -> None:
    scene.committer.submit(scene.changes(word="w"), scene.finisher("one"))
    await turns()
    scene.committer.abandon()
    await turns()
    assert scene.said() == [b"w"]
    assert scene.done == []


async def test_after_abandoning_new_groups_do_not_wait_for_old_ones(scene: Scene) -> None:
    scene.committer.submit(scene.changes(fact="never delivered", word="old"), scene.finisher("old"))
    await turns()
    scene.committer.abandon()
    scene.committer.submit(scene.changes(word="new"), scene.finisher("new"))
    await turns()
    assert scene.said() == [b"new"]


async def test_commit_returns_when_the_step_is_durable(scene: Scene) -> None:
    step = asyncio.create_task(scene.committer.commit(scene.changes(fact="intent")))
    await turns()
    assert not step.done()
    scene.producer.sent[0].deliver()
    await turns()
    assert step.done()


async def test_drained_waits_for_everything(scene: Scene) -> None:
    scene.committer.submit(scene.changes(fact="f"), scene.finisher("one"))
    drained = asyncio.create_task(scene.committer.drained())
    await turns()
    assert not drained.done()
    scene.producer.sent[0].deliver()
    await drained
    assert scene.done == ["one"]


async def test_a_fact_is_in_memory_from_the_submit_on(scene: Scene) -> None:
    scene.committer.submit(scene.changes(fact="f"), scene.finisher("one"))
    assert scene.facts.read(1, "key") == b"f"


def test_an_empty_fact_is_an_error() -> None:
    facts: FactTable = table("facts")
    with pytest.raises(ValueError, match="never empty"):
        Changes(local_codec(), "t.", 0).put(facts, "key", b"")
