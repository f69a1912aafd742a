"""Clients of the counting server and the model server; the measurements ask them what arrived."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ANSWER_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Arrivals:
    """`at`: subject -> epoch seconds of each executed action; `repeated` calls came with a key a second time."""

    at: Mapping[str, list[float]]
    repeated: int

    def missing(self, expected: Counter[str]) -> int:
        """The number of actions that did not happen. `expected` is the number of actions for each subject."""
        return (expected - self._counts()).total()

    def doubled(self, expected: Counter[str]) -> int:
        """The number of actions that were executed beyond the expected ones."""
        return (self._counts() - expected).total()

    def _counts(self) -> Counter[str]:
        return Counter({subject: len(times) for subject, times in self.at.items()})


@dataclass(frozen=True, slots=True)
class CountedActions:
    """The counting server at `url`."""

    url: str

    def executed(self) -> int:
        return int(_ask(f"{self.url}/progress")["executed"])

    def arrivals(self) -> Arrivals:
        """Every action since the last `forget`."""
        at: dict[str, list[float]] = {}
        for subject, arrived_at in _ask(f"{self.url}/arrivals"):
            at.setdefault(subject, []).append(arrived_at)
        return Arrivals(at, int(_ask(f"{self.url}/progress")["repeated"]))

    def forget(self) -> None:
        """Reset the counters."""
        _ask(f"{self.url}/arrivals", "DELETE")


@dataclass(frozen=True, slots=True)
class CountedCalls:
    """The model server at `url`."""

    url: str

    def asked(self) -> int:
        return int(_ask(f"{self.url}/count")["requests"])

    def peak_in_flight(self) -> int:
        """The most calls that were ever open at the same time."""
        return int(_ask(f"{self.url}/count")["peak_in_flight"])


def _ask(url: str, method: str = "GET") -> Any:
    request = urllib.request.Request(url, method=method)  # noqa: S310 - always loopback http
    with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as response:  # noqa: S310
        return json.load(response)
