"""An undo that fails is a dead letter with everything, an alert, and can be tried again; each undo happens once."""

import logging
from collections.abc import Iterable

import pytest
from prometheus_client import REGISTRY

from schemas import ids
from schemas.dead_letters import CONTEXT_HEADER
from schemas.records import DeadLetter, Decision
from schemas.topics import ACT
from streams.ports import Performed
from streams.runtime.changes import Changes
from streams.runtime.producer import Message
from streams.stages.act import Act
from tests.processors.examples import case, compiled
from tests.streams.stages.bench import CODEC, Bench, Clock, Crash, Step, audited, in_force
from tests.streams.stages.world import BROKEN, World, decision

CHARTER = compiled()
RESPOND = decision(case(CHARTER), text="tomorrow")
LOST = Performed("unknown", error="no answer")


def _bench(world: World, crash_after: int | None = None) -> Bench:
    return Bench(Act(in_force(CHARTER), world, Clock()), Step(crash_after))


def _on_the_dlq(changes: Changes) -> list[Message]:
    return [message for message in changes.messages if message.topic == "t." + ACT.dlq]


def _letters(messages: Iterable[Message]) -> list[DeadLetter]:
    return [CODEC.decode(DeadLetter, dict(message.headers)[CONTEXT_HEADER]) for message in messages]


def _failed_undos() -> float:
    return REGISTRY.get_sample_value("nightdesk_undos_failed_total", {"agent": "desk", "handler": "unsend"}) or 0.0


async def test_an_undo_that_fails_is_a_dead_letter_and_an_alert(caplog: pytest.LogCaptureFixture) -> None:
    before = _failed_undos()
    changes = await _bench(World(note=[BROKEN], unsend=[BROKEN])).take(ACT, RESPOND, 7)
    [message] = _on_the_dlq(changes)
    [letter] = _letters([message])
    assert CODEC.decode(Decision, message.value) == RESPOND, "what was to be done, whole"
    assert message.key == RESPOND.subject.encode()
    assert (letter.error, letter.attempts, letter.offset) == ("UndoFailed", 1, 7)
    assert letter.message == "step 1 (note) failed: 400; not taken back: unsend"
    assert [(record.kind, record.status) for record in audited(changes)] == [
        ("acted", "failed"),
        ("dead_letter", "failed"),
    ]
    assert '"status":"undo_failed"' in audited(changes)[0].detail
    assert _failed_undos() == before + 1
    assert [record.levelno for record in caplog.records if "not taken back" in record.message] == [logging.ERROR]


async def test_what_was_taken_back_is_no_dead_letter() -> None:
    assert _on_the_dlq(await _bench(World(note=[BROKEN])).take(ACT, RESPOND)) == []


async def test_the_same_record_again_says_the_same_letter() -> None:
    world = World(note=[BROKEN], unsend=[BROKEN])
    bench = _bench(world)
    first, again = [_letters(_on_the_dlq(await bench.take(ACT, RESPOND))) for _ in range(2)]
    assert first == again
    assert world.handlers == ["send", "note", "unsend"], "and does nothing"


async def test_a_replay_of_the_letter_tries_the_undo_again_and_nothing_else() -> None:
    world = World(note=[BROKEN], unsend=[BROKEN])
    bench = _bench(world)
    first = await bench.take(ACT, RESPOND)
    [letter] = _letters(_on_the_dlq(first))
    replayed = await bench.take(ACT, RESPOND, 1, replay_of=letter.dead_letter_id)
    assert world.handlers == ["send", "note", "unsend", "unsend"]
    assert _on_the_dlq(replayed) == []
    [acted] = audited(replayed)
    assert '"status":"undone"' in acted.detail
    assert acted.record_id != audited(first)[0].record_id, "readers must not take it for the first"
    again = await bench.take(ACT, RESPOND, 1, replay_of=letter.dead_letter_id)
    assert (world.handlers.count("unsend"), audited(again)) == (2, [acted])


async def test_a_replay_that_fails_again_is_the_next_letter() -> None:
    bench = _bench(World(note=[BROKEN], unsend=[BROKEN, BROKEN]))
    [first] = _letters(_on_the_dlq(await bench.take(ACT, RESPOND)))
    replayed = await bench.take(ACT, RESPOND, 1, replay_of=first.dead_letter_id)
    [second] = _letters(_on_the_dlq(replayed))
    assert (second.attempts, second.replay_of) == (2, first.dead_letter_id)
    assert second.dead_letter_id != first.dead_letter_id


async def test_a_replay_of_another_letter_changes_nothing() -> None:
    world = World(note=[BROKEN], unsend=[BROKEN])
    bench = _bench(world)
    await bench.take(ACT, RESPOND)
    for other in ("x", ids.undo_letter_id(RESPOND.decision_id, 1), ids.undo_letter_id("other", 0)):
        await bench.take(ACT, RESPOND, 1, replay_of=other)
    assert world.handlers.count("unsend") == 1


async def test_a_crash_in_the_midst_of_a_replay_loses_nothing_of_it() -> None:
    world = World(note=[BROKEN], unsend=[BROKEN])
    bench = _bench(world)
    [letter] = _letters(_on_the_dlq(await bench.take(ACT, RESPOND)))
    dying = _bench(world, crash_after=1).inherit(bench)
    with pytest.raises(Crash):
        await dying.take(ACT, RESPOND, 1, replay_of=letter.dead_letter_id)
    changes = await _bench(world).inherit(dying).take(ACT, RESPOND, 1, replay_of=letter.dead_letter_id)
    assert world.handlers.count("unsend") == 2
    assert '"status":"undone"' in audited(changes)[-1].detail


async def test_an_undo_that_may_have_happened_is_not_made_again_by_a_replay() -> None:
    world = World(once=("unsend",), note=[BROKEN], unsend=[LOST])
    bench = _bench(world)
    [letter] = _letters(_on_the_dlq(await bench.take(ACT, RESPOND)))
    replayed = await bench.take(ACT, RESPOND, 1, replay_of=letter.dead_letter_id)
    assert world.handlers.count("unsend") == 1
    assert len(_on_the_dlq(replayed)) == 1
