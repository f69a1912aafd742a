"""Tracks whether the models of an agent answer. While they do not, one step at a time probes them.

The decide stage gives a step back when no model answers. From then on the agent's steps wait, except one: the probe,
which goes on when it is time to try again. As soon as a model answers a step, all others go on in a slow start, so that
a provider that has just come back does not get the queue of a whole night at once.
"""

from dataclasses import dataclass, replace
from math import log2
from typing import Literal

# The wait before the first probe; each failed probe doubles it.
FIRST_RETRY_S = 5.0
RETRY_AT_MOST_S = 300.0
# A slow start lets one step go on, and then twice as many every so many seconds: 30,000 take two minutes.
DOUBLES_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class SlowStart:
    """How many steps may go on since `began_at` (epoch seconds), and how many did."""

    began_at: float
    released: int = 0

    def opens_at(self) -> float:
        """When the next step may go on."""
        return self.began_at + DOUBLES_EVERY_S * log2(1 + self.released / DOUBLES_EVERY_S)

    def after_release(self) -> "SlowStart":
        """The state after one more step has gone on."""
        return replace(self, released=self.released + 1)


@dataclass(frozen=True, slots=True)
class Availability:
    """The state of an agent's models. `retry_at` (epoch seconds) is when the next probe may go on, `retry_s` how long
    the last wait for a probe was, and `probe` the key of the step that asks now. `reason` is the reason that the decide
    stage gave.
    """

    state: Literal["available", "away", "probing"] = "available"
    retry_at: float = 0.0
    retry_s: float = 0.0
    probe: str = ""
    reason: str = ""

    def after_return(self, step: str, retry_after_s: float, reason: str, now: float) -> "Availability":
        """The state after a step was given back because no model answers. A step that began to ask before the outage
        was known says nothing new.
        """
        if self.state == "away" or (self.state == "probing" and step != self.probe):
            return self
        # A new process knows that models are away, but not how long the wait for the last probe was.
        doubled = min(max(self.retry_s * 2, FIRST_RETRY_S), RETRY_AT_MOST_S)
        retry_s = max(doubled, retry_after_s)
        return Availability("away", now + retry_s, doubled, reason=reason)

    def after_probe(self, step: str) -> "Availability":
        """The state after the step went on as the probe."""
        return replace(self, state="probing", probe=step) if self.state == "away" else self

    def after_end(self, step: str, *, answered: bool, now: float) -> "Availability":
        """The state after a step was decided or given up. If a model `answered` it, all steps may go on. A probe that
        needed no model, or whose end is unknown, found out nothing, so the next one goes.
        """
        if answered:
            return Availability()
        is_probe = self.state == "probing" and step == self.probe
        return replace(self, state="away", retry_at=now, probe="") if is_probe else self
