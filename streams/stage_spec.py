"""The specification of a stage. Each stage defines one `StageSpec` beside its code; `catalog.py` lists them.

Everything else that depends on the stages is derived from the list or checked against it by a test: topics and
changelogs, `nightdesk worker`, `status`, the Helm chart, the compose file and docs/reference/stages.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from nightdesk.messaging.naming import PARKED, group_id
from nightdesk.schemas.topics import Topic
from nightdesk.streams.api import Clock, Stage
from nightdesk.streams.control import Control
from nightdesk.streams.ports import Actions, CircuitBreakers, Models, Notifier, Persons

# What the process of a stage may use besides Kafka and the schema registry. The chart derives its environment and its
# network policy from it, so that a key and the network access for it go together.
Need = Literal["model", "connections", "notify"]


class StageContext(Protocol):
    """What a stage is built from. The bootstrap implements it; tests use their own."""

    @property
    def control(self) -> Control: ...

    @property
    def clock(self) -> Clock: ...

    def models(self, circuits: CircuitBreakers) -> Models:
        """The configured model providers, each behind its breaker in `circuits`. For a stage that needs `model`."""

    def actions(self) -> Actions:
        """The connections to other systems. For a stage that needs `connections`."""

    def notifier(self) -> Notifier:
        """The routes of notifications. For a stage that needs `notify`."""

    def persons(self) -> Persons:
        """The persons whose signatures can be verified."""


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What a table remembers, for how long, and what follows when that time is over: a row of docs/scaling.md."""

    remembers: str
    for_how_long: str
    afterwards: str = "-"


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage.

    `summary` is a sentence for people. `topics` are what it reads and `tables` what it stores: their names are part of
    the names of changelog topics, so renaming one loses its state. `parks`: its records may be parked behind a dead
    letter, in a table of the safety layer. `needs`: what its process may reach besides Kafka and the registry.
    """

    name: str
    summary: str
    topics: tuple[Topic, ...]
    tables: Mapping[str, TableSpec]
    build: Callable[[StageContext], Stage]
    parks: bool = False
    needs: tuple[Need, ...] = ()

    def changelogs(self, topic_prefix: str) -> tuple[str, ...]:
        """The changelog topics, as Faust names them."""
        tables = (*self.tables, PARKED) if self.parks else self.tables
        return tuple(f"{group_id(topic_prefix, self.name)}-{table}-changelog" for table in tables)
