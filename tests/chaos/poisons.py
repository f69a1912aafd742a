"""Records that can only end as dead letters, of several kinds. The scenario `poison` sends them."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from nightdesk.schemas.codec import HEADER
from tests.chaos.events import NOTE, Sent
from tests.chaos.sender import Raw
from tests.chaos.world import World

TOO_LARGE_BYTES = 1_100_000


def poison(world: World, number: int, chance: Random) -> Raw:
    """Make a record of each kind in turn. Each has its own key, so that a dead letter can be compared with what was
    sent.
    """
    sent = Sent("poisoned", number, f"poisoned-{number}", NOTE)
    return Raw(sent.subject, POISONS[number % len(POISONS)](world, sent, chance))


def _noise(_world: World, _sent: Sent, chance: Random) -> bytes:
    """Random bytes."""
    return chance.randbytes(chance.randrange(1, 400))


def _nothing(_world: World, _sent: Sent, _chance: Random) -> bytes:
    return b""


def _cut(world: World, sent: Sent, _chance: Random) -> bytes:
    """A record whose end is missing."""
    return world.codec.encode(sent.event())[:-3]


def _longer(world: World, sent: Sent, chance: Random) -> bytes:
    """A record followed by more bytes."""
    return world.codec.encode(sent.event()) + chance.randbytes(3)


def _unknown_schema(world: World, sent: Sent, _chance: Random) -> bytes:
    """A record with a schema id that the registry does not know."""
    return HEADER.pack(0, 999_999) + world.codec.encode(sent.event())[HEADER.size :]


def _too_large(world: World, sent: Sent, _chance: Random) -> bytes:
    """A well-formed event that is too large."""
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
