"""What a seed draws before anything happens: the charter, the weather, the events, the orders."""

from dataclasses import dataclass
from random import Random

import orjson

from processors.charter.quantities import Rate
from schemas.records import Event
from streams.catalog import STAGES
from tests.processors.examples import NOW
from tests.simulator import charters

SUBJECTS = ("t-1", "t-2", "t-3")
JUNK = b"\x00junk"
MOVES_PER_EVENT = 50


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad it is: the chance of each thing whenever something happens, until so many `moves`.

    `slow` is a stage that is behind the others.
    """

    crash: float
    double: float
    time_passes: float
    slow: str
    moves: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """`events` in the order in which they are produced; None is a record that nobody can read."""

    variant: charters.Variant
    weather: Weather
    events: tuple[Event | None, ...]
    orders: tuple[tuple[str, str], ...]
    connection_limit: Rate | None

    @property
    def wanted(self) -> dict[str, Event]:
        """Those that the agent takes, once each, by id."""
        return {event.id: event for event in self.events if event is not None and _is_taken(event)}


def draw(rng: Random) -> Scenario:
    """One of them. Most worlds are small: two events meet in every way that six do."""
    count = rng.choices((2, 3, 4, 5, 6), (72, 20, 5, 2, 1))[0]
    drawn = [_event(rng, number) for number in range(1, count + 1)]
    events = [twin for event in drawn for twin in ([event, event] if rng.random() < 0.1 else [event])]
    orders = (("stop_all", "*"), ("pause", charters.AGENT))
    return Scenario(
        variant=rng.choice(charters.variants()),
        weather=Weather(
            crash=rng.choice((0.0, 0.01, 0.02, 0.05)),
            double=rng.choice((0.0, 0.0, 0.05)),
            time_passes=rng.choice((0.01, 0.05)),
            slow=rng.choice(("", "", "", *(stage.name for stage in STAGES))),
            moves=MOVES_PER_EVENT * count,
        ),
        events=tuple(events),
        orders=tuple(rng.choice(orders) for _ in range(rng.choices((0, 1, 2), (70, 20, 10))[0])),
        connection_limit=Rate(count=2, per_seconds=60) if rng.random() < 0.07 else None,
    )


def _event(rng: Random, number: int) -> Event | None:
    chance = rng.random()
    if chance < 0.03:
        return None
    data = {} if chance < 0.06 else {"event": f"e-{number}"}
    return Event(
        id=f"e-{number}",
        source="shop",
        type="ticket.other" if chance > 0.97 else "ticket.created",
        subject=rng.choice(SUBJECTS),
        time=NOW,
        data=orjson.dumps(data).decode(),
    )


def _is_taken(event: Event) -> bool:
    return event.type == "ticket.created" and event.data != "{}"
