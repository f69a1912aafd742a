"""Builds the message of a batch. The texts come from customers and models, so each is reduced to one line of bounded
length. Pure.
"""

import unicodedata
from dataclasses import dataclass
from datetime import datetime

from nightdesk.processors.notifications.batches import Batch
from nightdesk.processors.notifications.cards import ApprovalCard
from nightdesk.schemas.foreign_text import visible

LINE_CHARACTERS_AT_MOST = 300
NAMES = {
    "stop": "agents were stopped",
    "failure": "actions failed",
    "unknown": "actions may have happened",
    "approval": "decisions wait for an approval",
    "budget": "cases met a spent budget",
    "dead_letter": "records became dead letters",
    "anomaly": "agents left their bounds",
    "fault": "records were lost or quarantined",
    "outage": "systems do not answer, or answer again",
    "test": "test of a route",
}
# Of messages that only tell of ends.
NAMES_OF_ENDS = {"approval": "decisions wait no more"}
SEVERITIES = {
    "stop": "critical",
    "fault": "critical",
    "unknown": "error",
    "failure": "error",
    "dead_letter": "error",
    "outage": "error",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One message, before its channel formats it. `key` is its idempotency key; `lines` are the first of `count`.

    `is_over`: the message of this key was sent, and all that it was about has been taken care of.
    """

    key: str
    route: str
    event_class: str
    severity: str
    title: str
    lines: tuple[str, ...]
    count: int
    first_at: datetime
    last_at: datetime
    is_over: bool = False
    cards: tuple[ApprovalCard, ...] = ()

    @property
    def text(self) -> str:
        """Title and lines, one below the other."""
        more = self.count - len(self.lines)
        rest = (f"… and {more} more",) if more > 0 else ()
        return "\n".join((self.title, *(f"- {line}" for line in self.lines), *rest))


def message_of(batch: Batch, over: int = 0) -> Message:
    """The message of a batch, of which so many are over by now: it may have waited for the end of quiet hours."""
    names = NAMES | NAMES_OF_ENDS if batch.ends == batch.count else NAMES
    name = names.get(batch.event_class, batch.event_class)
    notes = (one_line(batch.note), f"{over} over by now" if over else "")
    note = "".join(f" ({note})" for note in notes if note)
    return Message(
        key=batch.batch_id,
        route=batch.route,
        event_class=batch.event_class,
        severity=SEVERITIES.get(batch.event_class, "warning"),
        title=f"Nightdesk: {name}: {batch.count}{note}",
        lines=tuple(map(one_line, batch.items)),
        count=batch.count,
        first_at=batch.first_at,
        last_at=batch.last_at,
        is_over=batch.state == "closing",
        cards=batch.cards,
    )


def one_line(text: str) -> str:
    """The text without line breaks and invisible characters, which could hide what is written. What looks like nothing
    or covers other lines, and counts as a letter or a mark, is escaped.
    """
    shown = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text)
    line = visible(" ".join(shown.split()))
    return line if len(line) <= LINE_CHARACTERS_AT_MOST else f"{line[: LINE_CHARACTERS_AT_MOST - 1]}…"
