"""One record in a hundred is poison: it ends as a dead letter, byte for byte, and holds up nobody.

`nightdesk dlq` shows the letters and their bytes, and what it replays comes back as it was.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from schemas.codec import HEADER
from tests.chaos.events import NOTE, Sent, draw
from tests.chaos.scenario import Scenario
from tests.chaos.sender import Raw
from tests.chaos.world import World

NAME = "poison"
RECORDS_A_KILL = 50
ONE_IN = 100
TOO_LARGE_BYTES = 1_100_000
LETTERS_WITHIN_S = 120.0


def play(world: World, size: int, chance: Random) -> None:
    """Fifty times as many records as kills in a storm, shuffled; an ingest stage is killed in the midst of them."""
    count = size * RECORDS_A_KILL
    poison = max(count // ONE_IN, len(POISONS))
    over_s = count / 200
    world.send(draw(NAME, count - poison, chance, (NOTE,), subjects=200), over_s)
    world.send_poison([_poison(world, number, chance) for number in range(poison)], over_s)
    world.pause(over_s / 2)
    world.fleet.kill(chance.choice(("ingest-0", "ingest-1")))
    _look_into_the_letters(world, poison, most=max(2, size // 10))


def _look_into_the_letters(world: World, count: int, most: int) -> None:
    """All are listed; of some sorts one is shown, and replayed: it cannot be done now either, so it comes back."""
    world.sender.finish()
    listed: list[dict[str, Any]] = []

    def all_there() -> bool:
        listed[:] = json.loads(world.nightdesk("dlq", "list", "--topic", "ingest", "--output", "json"))
        return len(listed) >= count

    if not world.until(all_there, LETTERS_WITHIN_S, poll_s=2.0):
        world.observed.append(f"{len(listed)} of {count} dead letters are listed")
    by_sort = {(letter["error"], letter["message"][:20]): letter["dead_letter_id"] for letter in listed}
    chosen = list(by_sort.values())[:most]
    for letter_id in chosen:
        shown = world.nightdesk("dlq", "show", letter_id, "--raw", "-")
        if shown not in world.poison:
            world.observed.append(f"dlq show {letter_id}: {len(shown)} bytes that nobody injected")
        world.poison.append(shown)
    world.nightdesk("dlq", "replay", *chosen, "--reason", "a test of replay")


def _poison(world: World, number: int, chance: Random) -> Raw:
    sent = Sent("poisoned", number, f"poisoned-{chance.randrange(20)}", NOTE)
    return Raw(sent.subject, POISONS[number % len(POISONS)](world, sent, chance))


def _noise(_world: World, _sent: Sent, chance: Random) -> bytes:
    """Whatever."""
    return chance.randbytes(chance.randrange(1, 400))


def _nothing(_world: World, _sent: Sent, _chance: Random) -> bytes:
    return b""


def _cut(world: World, sent: Sent, _chance: Random) -> bytes:
    """The end is missing."""
    return world.codec.encode(sent.event())[:-3]


def _longer(world: World, sent: Sent, chance: Random) -> bytes:
    """Something follows."""
    return world.codec.encode(sent.event()) + chance.randbytes(3)


def _unknown_schema(world: World, sent: Sent, _chance: Random) -> bytes:
    """By a schema that the registry does not know."""
    return HEADER.pack(0, 999_999) + world.codec.encode(sent.event())[HEADER.size :]


def _too_large(world: World, sent: Sent, _chance: Random) -> bytes:
    """A well-formed event that is too large to be carried."""
    return world.codec.encode(sent.event().model_copy(update={"data": f'"{"x" * TOO_LARGE_BYTES}"'}))


def _about_nobody(world: World, sent: Sent, _chance: Random) -> bytes:
    """A well-formed event without a subject."""
    return world.codec.encode(replace(sent, subject=" ").event())


POISONS: tuple[Callable[[World, Sent, Random], bytes], ...] = (
    _noise,
    _nothing,
    _cut,
    _longer,
    _unknown_schema,
    _too_large,
    _about_nobody,
)
SCENARIO = Scenario(NAME, play)
