"""Decides whether the answer "no such call" proves that a call never happened. Pure.

A call that was cut off can still be queued on the other side, which does not know of it yet. So the answer is final
only after the time in the charter (`settles_within`). The asking process measures that time from its first such answer,
because the call had been sent by then. The time of sending itself comes from the clock of another process, which may be
wrong.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from nightdesk.processors.charter.handlers import CallRules


@dataclass(frozen=True, slots=True)
class AskAgain:
    """It is too early to tell: ask again after this time."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Undecidable:
    """The charter does not say how long the other side may take, so a person has to look."""


@dataclass(frozen=True, slots=True)
class NeverHappened:
    """The call may be made again."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A reading of the steady clock of one process, in seconds. Two processes' readings cannot be compared."""

    process: str
    seconds: float


def first_missed_at(known: Moment | None, now: Moment) -> Moment:
    """When this process first got the answer that there is no such call. If the stored time is another process's, or
    ahead of our clock, the wait begins now.
    """
    return now if known is None or known.process != now.process or known.seconds > now.seconds else known


def what_absence_says(rules: CallRules, missed_at: Moment, now: Moment) -> AskAgain | Undecidable | NeverHappened:
    """The meaning, at `now`, of the answer that there is no such call; `missed_at` is from `first_missed_at`."""
    if rules.settles_within_s is None:
        return Undecidable()
    left_s = rules.settles_within_s - (now.seconds - missed_at.seconds)
    return AskAgain(left_s) if left_s > 0 else NeverHappened()


def may_still_be_sent(rules: CallRules, sent_at: datetime, now: datetime) -> bool:
    """Whether a call that is recorded as sent at `sent_at` would end, on our side, before it counts as settled."""
    if rules.settles_within_s is None:
        return True
    ends_at = now + timedelta(seconds=rules.timeout_s)
    return ends_at <= sent_at + timedelta(seconds=rules.settles_within_s)
