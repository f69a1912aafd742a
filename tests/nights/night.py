"""What the file of a night may say. A new key is a new field here; an unknown one is an error.

Times are local times of the night: a time of day is the next one after the night's begin, a night of several days names
dates.
"""

import tomllib
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from nightdesk.processors.notifications import RoutePolicy
from nightdesk.processors.quantities import DurationSeconds, Probability
from tests.nights.expected import Amount, Expected

ROOT = Path(__file__).parent.parent.parent
FOLDER = Path(__file__).parent / "data"
Moment = datetime | time
# What a system or a provider answers that is away: an HTTP status, no connection, or nothing after it has acted.
Answer = int | Literal["no connection", "lost"]
# Those of docs/how-to/notifications.md.
ROUTES: Mapping[str, RoutePolicy] = {
    name: RoutePolicy.model_validate(route)
    for name, route in {
        "ops": {
            "tell": "failure,unknown,approval,dead_letter,budget",
            "quiet_hours": "22:00-07:00",
            "time_zone": "Europe/Berlin",
            "otherwise": "oncall",
            "unanswered_after": "30m",
        },
        "oncall": {"tell": "stop,fault,anomaly,outage"},
    }.items()
}


class Part(BaseModel):
    """Frozen, and without keys that it does not name."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Arrivals(Part):
    """`count` events, spread over a time by chance. They are about as many subjects as `subjects` says (each about its
    own). `like` is `any` event of the example day, or only `good` ones, which the charter takes; `data` is merged into
    theirs. `ended` is how these events are expected to end.
    """

    since: Moment
    until: Moment
    count: int = Field(ge=1)
    subjects: int | None = Field(default=None, ge=1)
    like: Literal["good", "any"] = "good"
    data: dict[str, Any] = {}
    ended: Mapping[str, Amount] = {}


class Outage(Part):
    """A time in which a connection, the model's provider or a route's channel answers so, for a share of the calls.

    `only` names handlers; `every` repeats it until the end of the night.
    """

    of: str
    since: Moment
    lasts: DurationSeconds
    answers: Answer = 503
    share: Probability = 1.0
    only: tuple[str, ...] = ()
    every: DurationSeconds | None = None


class Order(Part):
    """An order of a person. `change` is what differs in the charter that is promoted, from the one before; it restricts
    what waits if it `applies_to` that. `reoffer` offers all events again of which no case was made.
    """

    at: Moment
    order: Literal["pause", "resume", "stop_all", "promote", "reoffer"]
    agent: str = ""
    reason: str = ""
    change: dict[str, Any] = {}
    applies_to: Literal["new", "waiting"] = "new"


class People(Part):
    """How many approvals are approved and rejected, of all, and after how long; to the others nobody answers."""

    approve: Probability = 0.8
    reject: Probability = 0.1
    after: DurationSeconds = 1800


class Kill(Part):
    """The worker of a stage ends without a word, and another begins, at once or after a while."""

    at: Moment
    stage: str
    back_after: DurationSeconds = 0


class Night(Part):
    """One night. `change` is merged into the charter, and each of `others` into that of another agent; `routes` are the
    settings'. `expected` is the table in which it ends.
    """

    title: str
    begins: datetime
    ends: datetime
    time_zone: str = "UTC"
    charter: str = "charters/support-triage"
    change: dict[str, Any] = {}
    others: tuple[dict[str, Any], ...] = ()
    arrivals: tuple[Arrivals, ...]
    outages: tuple[Outage, ...] = ()
    orders: tuple[Order, ...] = ()
    kills: tuple[Kill, ...] = ()
    people: People = People()
    routes: Mapping[str, RoutePolicy] = ROUTES
    model: bool = True
    expected: Expected | None = None

    def at(self, moment: Moment) -> datetime:
        """A moment of the night as an instant."""
        if isinstance(moment, datetime):
            return moment.replace(tzinfo=ZoneInfo(self.time_zone))
        found = datetime.combine(self.begins.date(), moment)
        return self.at(found if found >= self.begins else found + timedelta(days=1))

    @property
    def since(self) -> datetime:
        return self.at(self.begins)

    @property
    def until(self) -> datetime:
        return self.at(self.ends)


def load(name: str) -> Night:
    """A night by the name of its file. Raises `FileNotFoundError`."""
    return Night.model_validate(tomllib.loads((FOLDER / f"{name}.toml").read_text()))


def names() -> tuple[str, ...]:
    """All nights that tests play."""
    return tuple(sorted(file.stem for file in FOLDER.glob("*.toml")))


def long_names() -> tuple[str, ...]:
    """Nights that take too long for a test: only `python -m tests.nights` plays them."""
    return tuple(sorted(f"long/{file.stem}" for file in FOLDER.glob("long/*.toml")))


def merged(document: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`document` with the change in it: tables are merged, everything else is replaced."""
    both = dict(document)
    for key, value in change.items():
        known = both.get(key)
        both[key] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return both
