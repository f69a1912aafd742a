"""How the routes do: when each last took a message, why one could not be sent, and what waits. Pure; derived from the
batches, which have all of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nightdesk.processors.notifications.batches import Batch

# A failure that is older says nothing about now: a message is tried for `give_up_after`, then it is a dead letter.
COUNTS_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RouteState:
    """`sent_at`: when it last took a message. `error` is that of the last call that failed, at `failed_at`; it has
    failed since `failing_since` (None: it took a message after that, or the failure is old). `messages` that have to
    be sent, about `events`, wait; the oldest event is of `waiting_since`, and the next call is due at `next_at`.
    """

    route: str
    sent_at: datetime | None = None
    error: str = ""
    failed_at: datetime | None = None
    failing_since: datetime | None = None
    messages: int = 0
    events: int = 0
    waiting_since: datetime | None = None
    next_at: datetime | None = None

    def __str__(self) -> str:
        return "; ".join(part for part in (self._calls(), self._waiting()) if part)

    def _calls(self) -> str:
        sent = f"{self.route} took a message at {_time(self.sent_at)}" if self.sent_at else ""
        if self.failing_since is not None:
            sent = f"{self.route} has taken no message since {_time(self.failing_since)}"
        if self.failed_at is None:
            return sent
        error = f"the last error at {_time(self.failed_at)}: {self.error}"
        return f"{sent}, {error}" if sent else f"{self.route}: {error}"

    def _waiting(self) -> str:
        if not self.messages or self.waiting_since is None or self.next_at is None:
            return ""
        messages = "1 message waits" if self.messages == 1 else f"{self.messages} messages wait"
        events = "1 event" if self.events == 1 else f"{self.events} events"
        return (
            f"for {self.route} {messages}, about {events}, the oldest of {_time(self.waiting_since)}, the next due at"
            f" {_time(self.next_at)}"
        )


def route_states(batches: Iterable[Batch], now: datetime) -> dict[str, RouteState]:
    """The states of all routes that have a batch, by name."""
    of_route: dict[str, list[Batch]] = defaultdict(list)
    for batch in batches:
        of_route[batch.route].append(batch)
    return {route: _state(route, of_route[route], now) for route in sorted(of_route)}


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _state(route: str, batches: Sequence[Batch], now: datetime) -> RouteState:
    sent_at = max((batch.sent_at for batch in batches if batch.sent_at), default=None)
    failed_at, error = max(((batch.failed_at, batch.error) for batch in batches if batch.failed_at), default=(None, ""))
    waiting = [batch for batch in batches if batch.is_to_be_sent]
    return RouteState(
        route,
        sent_at,
        error,
        failed_at,
        failing_since=_failing_since(batches, sent_at, now),
        messages=len(waiting),
        events=sum(batch.count for batch in waiting),
        waiting_since=min((batch.first_at for batch in waiting), default=None),
        next_at=min((batch.next_at or batch.due_at for batch in waiting), default=None),
    )


def _failing_since(batches: Sequence[Batch], sent_at: datetime | None, now: datetime) -> datetime | None:
    """Since when, without a message that was taken in between."""
    after = [
        batch.failing_since
        for batch in batches
        if batch.failing_since
        and batch.failed_at
        and now - batch.failed_at < COUNTS_FOR
        and (sent_at is None or batch.failed_at > sent_at)
    ]
    if not after:
        return None
    return min(after) if sent_at is None else max(min(after), sent_at)
