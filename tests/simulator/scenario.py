"""What a seed draws before anything happens: the charter, the fault rates, the events, the orders."""

from dataclasses import dataclass
from random import Random
from typing import Literal

import orjson

from nightdesk.processors.quantities import Rate
from nightdesk.schemas.records import Event
from nightdesk.streams.catalog import STAGES
from tests.processors.examples import NOW
from tests.simulator import charters

SUBJECTS = ("t-1", "t-2", "t-3")
JUNK = b"\x00junk"
MOVES_PER_EVENT = 50


# Where the producer puts events: where their subject belongs, everything in one partition, or anywhere.
Spread = Literal["home", "one", "any"]
SPREADS: tuple[Spread, ...] = ("home", "home", "one", "any")


@dataclass(frozen=True, slots=True)
class Weather:
    """The probability of each fault at each move, for the first `moves` moves.

    `slow` is a stage that is behind the others. `provider_away_s` and `systems_away_s` are for how long from the
    beginning on no model and no system answers: failures that pass.
    """

    crash: float
    double: float
    time_passes: float
    slow: str
    moves: int
    provider_away_s: float = 0.0
    systems_away_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """`events` in the order in which they are produced; None is a record that nobody can read."""

    variant: charters.Variant
    weather: Weather
    events: tuple[Event | None, ...]
    orders: tuple[tuple[str, str], ...]
    connection_limit: Rate | None
    spread: Spread = "home"

    @property
    def wanted(self) -> dict[str, Event]:
        """The events that the agent accepts, once each, by id."""
        return {event.id: event for event in self.events if event is not None and _is_taken(event)}


def draw(rng: Random) -> Scenario:
    """Draw a scenario. Most worlds are small, because two events meet in every way in which six do."""
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
            provider_away_s=_outage_s(rng, 8 * 3600.0),
            systems_away_s=_outage_s(rng, 3600.0),
        ),
        events=tuple(events),
        orders=tuple(rng.choice(orders) for _ in range(rng.choices((0, 1, 2), (70, 20, 10))[0])),
        connection_limit=Rate(count=2, per_seconds=60) if rng.random() < 0.07 else None,
        spread=rng.choice(SPREADS),
    )


def _outage_s(rng: Random, longest_s: float) -> float:
    """Mostly none; else seconds, minutes, or up to the longest. A case waits six hours for a model."""
    return rng.choices((0.0, 5.0, 400.0, longest_s), (70, 12, 12, 6))[0] * rng.random()


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
