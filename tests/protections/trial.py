"""A trial of one protection: its scenario is played with it and without it, each on topics of its own."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.streams.fault_injection.broker import Broker
from tests.streams.fault_injection.place import Place


@dataclass(frozen=True)
class Ground:
    """Where scenarios are played."""

    bootstrap_servers: str
    home: Path

    def place(self, without: str | None) -> Place:
        """Topics and journals that no other scenario uses."""
        name = f"scene-{uuid.uuid4().hex[:8]}"
        broker = Broker(self.bootstrap_servers, f"{name}.", partitions=1)
        broker.create_topics()
        journals = self.home / name
        journals.mkdir()
        return Place(broker, journals, without)


@dataclass(frozen=True)
class Trial:
    """`play(ground, protected)` returns the violations that the scenario found."""

    protection: str
    scenario: str
    play: Callable[[Ground, bool], list[str]]


@dataclass(frozen=True)
class Verdict:
    """The violations with the protection, and those without it."""

    trial: Trial
    with_it: list[str]
    without_it: list[str]

    @property
    def is_needed(self) -> bool:
        """Whether the scenario finds no violation with it and one without it."""
        return not self.with_it and bool(self.without_it)


def substitute(owner: Any, name: str, value: Any) -> None:
    """Replace what `owner` has by that name. If it has nothing, the trial would take no protection away."""
    assert hasattr(owner, name), f"{owner!r} has no {name}: it has another name now"
    setattr(owner, name, value)
