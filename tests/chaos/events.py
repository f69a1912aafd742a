"""Draws the events of a run, each with the ends that it may have, from the scenario's seed."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from nightdesk.schemas.records import Event


@dataclass(frozen=True)
class Kind:
    """A kind of event. `effects` are the paths of the action server that must be called once if it is completed.

    `ends` are the statuses that it may end with; `ordered` says whether the order of its subject is kept.
    """

    type: str
    want: str
    effects: tuple[str, ...]
    ends: frozenset[str] = frozenset({"completed"})
    ordered: bool = True


ANSWER = Kind("question.asked", "answer", ("/answers", "/notes"))
# A call that was cut off ends as `unknown`, and the case as failed.
APPEND = Kind("question.asked", "append", ("/appends",), frozenset({"completed", "failed"}))
# The second step of the case is behind what came meanwhile.
LOOK = Kind("question.asked", "look", ("/answers", "/notes"), ordered=False)
NOTE = Kind("message.received", "note", ("/notes",))
ASK = Kind("permission.needed", "note", ("/notes",), frozenset({"completed", "refused"}), ordered=False)
# Its charter lets a few of each subject through.
COUNTED = Kind("message.counted", "note", ("/notes",), frozenset({"completed", "refused"}), ordered=False)
FRUGAL = Kind("question.asked.frugally", "answer", ("/answers",), frozenset({"completed", "refused"}), ordered=False)


@dataclass(frozen=True)
class Sent:
    """An event that was sent; `source` is the scenario's name."""

    source: str
    number: int
    subject: str
    kind: Kind

    @property
    def name(self) -> tuple[str, int]:
        return self.source, self.number

    def event(self) -> Event:
        data = {"number": self.number, "want": self.kind.want}
        return Event(
            id=str(self.number),
            source=self.source,
            type=self.kind.type,
            subject=self.subject,
            time=datetime.now(UTC),
            data=orjson.dumps(data).decode(),
        )


def draw(source: str, count: int, chance: random.Random, kinds: Iterable[Kind], subjects: int = 20) -> list[Sent]:
    """Draw `count` events about a few subjects."""
    drawn = list(kinds)
    return [
        Sent(source, number, f"{source}-{chance.randrange(subjects)}", chance.choice(drawn)) for number in range(count)
    ]
