"""After a dead letter a subject's later records wait, continue in order, and none is lost whenever a process dies.

A stage's guard, dispatcher and committer on a log in memory. The handler refuses what is in `broken`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from faust.types import TP

from nightdesk.messaging.partitions import partition_of
from nightdesk.messaging.producer import Message
from nightdesk.schemas.dead_letters import (
    CONTEXT_HEADER,
    RELEASE_HEADER,
    Headers,
    end_headers,
    original_headers,
    release_token,
    replay_headers,
)
from nightdesk.schemas.records import AuditRecord, DeadLetter, DeadLetterEnd, Event, Record
from nightdesk.schemas.topics import INGEST
from nightdesk.streams.api import Delivery, Route, StagedWrites, async_handler
from nightdesk.streams.api.state_store import StateStore
from nightdesk.streams.runtime.handling import queues
from nightdesk.streams.runtime.handling.dispatcher import Dispatcher
from nightdesk.streams.runtime.handling.guard import Guard
from nightdesk.streams.runtime.handling.parking import Parking
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.state.committer import Committer
from tests.effort import examples
from tests.streams.fault_injection.conversation import local_codec
from tests.streams.fault_injection.events import event
from tests.streams.runtime.arrivals import STORED_AT, arrival

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
CODEC = local_codec()
PARTITION = 0


@dataclass(frozen=True)
class Logged:
    """A record of the log."""

    key: bytes
    value: bytes | None
    headers: Headers = ()


@dataclass
class World:
    """What survives a process: the log, its read position, the changelog, the output."""

    log: list[Logged] = field(default_factory=list)
    committed: int = 0
    changelog: list[Message] = field(default_factory=list)
    said: list[Message] = field(default_factory=list)
    forwarded: list[Message] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    now: datetime = NOW

    def arrives(self, *names: str, subject: str = "s") -> None:
        for name in names:
            one = event(0, subject).model_copy(update={"id": name})
            self.log.append(Logged(subject.encode(), CODEC.encode(one)))

    def letters(self) -> dict[str, tuple[DeadLetter, Message]]:
        """By id, in the order of their first appearance."""
        found: dict[str, tuple[DeadLetter, Message]] = {}
        for message in self.said:
            if message.topic == "t.ingest.dlq":
                letter = CODEC.decode(DeadLetter, dict(message.headers)[CONTEXT_HEADER])
                found.setdefault(letter.dead_letter_id, (letter, message))
        return found

    def replay(self, number: int = -1) -> None:
        letter, message = list(self.letters().values())[number]
        token = release_token(message.headers)
        headers = replay_headers(letter, original_headers(letter, message.headers), token)
        self.log.append(Logged(message.key or b"", message.value, headers))

    def discard(self, number: int = -1) -> None:
        letter, message = list(self.letters().values())[number]
        end = DeadLetterEnd(dead_letter_id=letter.dead_letter_id, verdict="discarded", person="Ada", time=NOW)
        headers = end_headers(end, CODEC, release_token(message.headers))
        self.log.append(Logged(message.key or b"", None, headers))

    def forges(self, token: bytes | None, *, replay: bool, number: int = -1) -> None:
        """Somebody who knows how ids are derived, but not the token, ends a letter or claims to replay it."""
        letter, message = list(self.letters().values())[number]
        forged = () if token is None else ((RELEASE_HEADER, token),)
        end = DeadLetterEnd(dead_letter_id=letter.dead_letter_id, verdict="discarded", person="Eve", time=NOW)
        headers = replay_headers(letter, ()) if replay else end_headers(end, CODEC)
        value = CODEC.encode(event(0, "s").model_copy(update={"id": "forged"})) if replay else None
        self.log.append(Logged(message.key or b"", value, (*headers, *forged)))

    def refused(self) -> list[str]:
        lines = [CODEC.decode(AuditRecord, message.value) for message in self.said if message.topic == "t.audit"]
        return [line.reason for line in lines if line.kind == "ignored"]

    def done(self) -> list[str]:
        """What the handler emitted, in order."""
        return [(message.value or b"").decode() for message in self.said if message.topic == "t.decide"]

    def parked(self) -> list[str]:
        lines = [CODEC.decode(AuditRecord, message.value) for message in self.said if message.topic == "t.audit"]
        return [line.event_id for line in lines if line.kind == "parked"]


@dataclass
class Dying:
    """A producer whose process dies after so many more batches. The broker has the earlier ones."""

    world: World
    lives: int = 1_000_000

    def send(self, messages: Iterable[Message]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lives -= 1
        if self.lives >= 0:
            for message in messages:
                if message.topic == "t.ingest":
                    self.world.forwarded.append(message)
                else:
                    (self.world.changelog if message.partition >= 0 else self.world.said).append(message)
            future.set_result(None)
        return future


class Process:
    """One life of a stage."""

    def __init__(
        self,
        world: World,
        converses: bool = False,
        lives: int = 1_000_000,
        partitions: int = 1,
        partition: int = PARTITION,
    ) -> None:
        self.world = world
        self._finished: set[int] = set()
        self._partition = partition
        self._facts = _recovered(world, partition)
        policy = WorkerPolicy({}, "t.", partitions, "w0", clock=lambda: world.now)
        parking = Parking(self._facts, CODEC, policy.clock)
        route = Route(INGEST, async_handler(self._converse) if converses else self._handle, _queue_of)
        guard = Guard("ingest", (route,), CODEC, policy, parking)
        self._committer = Committer(Dying(world, lives), lambda: None, lambda: False)  # type: ignore[arg-type]  # a producer of ours
        self.dispatcher = Dispatcher(guard, self._committer, parking)

    async def live(self) -> Process:
        """Read the log to its end, and be idle."""
        self.dispatcher.resume(self._partition)
        for offset in range(self.world.committed, len(self.world.log)):
            one = self.world.log[offset]
            came = arrival(TP("t.ingest", self._partition), offset, one.key, one.value, one.headers)
            self.dispatcher.dispatch(came, lambda offset=offset: self._finished.add(offset))  # type: ignore[misc]  # bound here
            await asyncio.sleep(0)
        for _ in range(2000):
            await asyncio.sleep(0)
        while self.world.committed in self._finished:
            self.world.committed += 1
        return self

    def is_idle(self) -> bool:
        return {key for key, _ in self._facts.items(self._partition)} <= {b"seed"}

    def die(self) -> None:
        self.dispatcher.cancel()
        self._committer.abandon()

    def _handle(self, delivery: Delivery[Event], writes: StagedWrites) -> None:
        assert delivery.stored_at == STORED_AT, "however long it was parked"
        if delivery.record.id in self.world.broken:
            raise ConnectionError(delivery.record.id)
        writes.messages.append(Message("t.decide", b"k", delivery.record.id.encode()))

    async def _converse(self, delivery: Delivery[Event], writes: StagedWrites) -> None:
        await asyncio.sleep(0)
        self._handle(delivery, writes)


def _queue_of(record: Record | None, key: bytes | None) -> str | None:
    assert record is None or isinstance(record, Event)
    subject = (key or b"").decode() if record is None else record.subject
    return subject if subject.startswith("s") else None


def _recovered(world: World, partition: int) -> StateStore:
    facts = StateStore("parked")
    for message in world.changelog:
        headers = [(name, value or b"") for name, value in message.headers]
        facts.recover(message.partition, message.key, message.value, headers)
    facts.begin_term(partition, 1)
    facts.end_recovery()
    return facts


both = pytest.mark.parametrize("converses", [False, True], ids=["computes", "converses"])


@both
async def test_later_records_of_the_subject_wait_and_others_do_not(converses: bool) -> None:
    world = World(broken={"b"})
    world.arrives("a", "b", "c", "d")
    world.arrives("x", subject="s2")
    world.arrives("y", subject="other")
    await Process(world, converses).live()
    assert sorted(world.done()) == ["a", "x", "y"]
    assert world.parked() == ["c", "d"]
    assert world.committed == len(world.log)
    [(letter, _)] = world.letters().values()
    assert letter.parks


@both
@pytest.mark.parametrize("ends", [World.replay, World.discard])
async def test_they_go_on_in_order_when_the_letter_has_an_end(converses: bool, ends: Any) -> None:
    world = World(broken={"b"})
    world.arrives("a", "b", "c", "d")
    process = await Process(world, converses).live()
    world.broken.clear()
    ends(world)
    world.arrives("e")
    await process.live()
    assert world.done() == (["a", "b", "c", "d", "e"] if ends is World.replay else ["a", "c", "d", "e"])
    assert process.is_idle()
    assert world.committed == len(world.log)


@both
async def test_a_replay_that_fails_again_keeps_the_place(converses: bool) -> None:
    world = World(broken={"b"})
    world.arrives("b", "c")
    process = await Process(world, converses).live()
    world.replay()
    await process.live()
    assert (world.done(), [letter.attempts for letter, _ in world.letters().values()]) == ([], [1, 2])
    world.broken.clear()
    world.replay()
    await process.live()
    assert world.done() == ["b", "c"]
    assert process.is_idle()


@both
async def test_a_second_letter_holds_up_what_is_behind_it(converses: bool) -> None:
    world = World(broken={"b", "d"})
    world.arrives("b", "c", "d", "e")
    process = await Process(world, converses).live()
    world.discard(0)
    await process.live()
    assert world.done() == ["c"]
    world.broken.clear()
    world.replay(1)
    await process.live()
    assert world.done() == ["c", "d", "e"]


@both
async def test_the_second_letter_replayed_first_waits_for_the_first(converses: bool) -> None:
    world = World(broken={"b"})
    world.arrives("b", "c")
    world.log.append(Logged(b"s", b"unreadable"))
    world.arrives("e")
    process = await Process(world, converses).live()
    world.log[2] = Logged(b"s", CODEC.encode(event(0, "s").model_copy(update={"id": "mended"})))
    letter, message = list(world.letters().values())[1]
    token = release_token(message.headers)
    world.log.append(Logged(b"s", world.log[2].value, replay_headers(letter, (), token)))
    await process.live()
    assert world.done() == []
    world.broken.clear()
    world.replay(0)
    await process.live()
    assert world.done() == ["b", "c", "mended", "e"]
    assert process.is_idle()


@both
@pytest.mark.parametrize("token", [None, b"", b"wrong", b"\xff", "٣".encode()])
@pytest.mark.parametrize("replay", [False, True])
async def test_a_made_up_end_or_replay_moves_nothing_and_the_audit_says_so(
    converses: bool, replay: bool, token: bytes | None
) -> None:
    world = World(broken={"b"})
    world.arrives("b", "c")
    process = await Process(world, converses).live()
    world.forges(token, replay=replay)
    await process.live()
    assert world.done() == []
    [reason] = world.refused()
    assert "without its release token" in reason
    world.broken.clear()
    world.replay(0)
    await process.live()
    assert world.done() == ["b", "c", "forged"] if replay else ["b", "c"]
    assert process.is_idle()


async def test_the_token_is_on_the_letter_alone_and_stays_the_same_until_the_letter_has_an_end() -> None:
    world = World(broken={"b"})
    world.arrives("b")
    (await Process(world, lives=1).live()).die()  # remembered, and not said
    (await Process(world).live()).die()
    world.committed = 0
    process = await Process(world).live()  # the same record again
    letters = [message for message in world.said if message.topic == "t.ingest.dlq"]
    assert len(letters) == 2
    [token] = {release_token(message.headers) for message in letters}
    assert not any(token in (message.value or b"") for message in world.said)
    world.replay()
    await process.live()
    [first, second] = [dict(message.headers)[RELEASE_HEADER] for _, message in world.letters().values()]
    assert first != second


async def test_a_replay_that_turns_out_to_belong_elsewhere_leaves_its_queue() -> None:
    world = World()
    world.log.append(Logged(b"s", b"unreadable"))
    world.arrives("c")
    process = await Process(world, partitions=4, partition=partition_of(b"s", 4)).live()
    letter, message = next(iter(world.letters().values()))
    mended = CODEC.encode(event(0, "other").model_copy(update={"id": "mended"}))
    headers = replay_headers(letter, (), release_token(message.headers))
    world.log.append(Logged(b"s", mended, headers))
    await process.live()
    assert (world.done(), process.is_idle()) == (["c"], True)
    [sent] = [message for message in world.forwarded if message.topic == "t.ingest"]
    assert (sent.key, sent.partition, sent.value) == (b"other", partition_of(b"other", 4), mended)


async def test_a_queue_that_grows_too_long_becomes_dead_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "WAITING_AT_MOST", 3)
    world = World(broken={"b"})
    world.arrives("b", "c", "d", "e", "f")
    process = await Process(world).live()
    assert [letter.error for letter, _ in world.letters().values()] == ["ConnectionError", "QueueFull", "QueueFull"]
    world.broken.clear()
    for number in range(3):
        world.replay(number)
        await process.live()
    assert world.done() == ["b", "c", "d", "e", "f"]
    assert process.is_idle()


async def test_a_letter_that_nobody_decides_on_is_forgotten_with_its_topic() -> None:
    world = World(broken={"b"})
    world.arrives("b", "c")
    process = await Process(world).live()
    world.now += timedelta(days=29)
    process.dispatcher.release_expired(PARTITION)
    await process.live()
    assert world.done() == []
    world.now += timedelta(days=2)
    process.dispatcher.release_expired(PARTITION)
    await process.live()
    assert world.done() == ["c"]
    assert process.is_idle()


@both
@pytest.mark.parametrize("seed", range(examples(60)))
async def test_whenever_a_process_dies_nothing_is_lost_and_the_order_holds(converses: bool, seed: int) -> None:
    chance = random.Random(seed)
    world = World(broken={"b", "e"})
    world.arrives("a", "b", "c", "d", "e", "f", "g")
    await _lives(world, converses, chance)
    world.replay(0) if chance.random() < 0.5 else world.discard(0)
    if chance.random() < 0.5:
        world.replay(0)
    if chance.random() < 0.5:
        world.broken.discard("b")
    world.arrives("h")
    await _lives(world, converses, chance)
    world.broken.clear()
    for number in range(10):
        if number < len(world.letters()):
            world.replay(number)
            await _lives(world, converses, chance)
    world.arrives("i")
    process = await Process(world, converses).live()
    process.die()
    first = list(dict.fromkeys(world.done()))
    # b may have been discarded, and replayed when the rest was through.
    assert [one for one in first if one != "b"] == [*"acdefghi"], f"seed {seed}: {world.done()}"
    assert process.is_idle(), f"seed {seed}"
    assert world.committed == len(world.log), f"seed {seed}"


async def _lives(world: World, converses: bool, chance: random.Random) -> None:
    """A few processes that die at some point, and one that does not."""
    for _ in range(chance.randrange(4)):
        (await Process(world, converses, lives=chance.randrange(1, 12)).live()).die()
    (await Process(world, converses).live()).die()
