"""A stage without a broker: records go in one by one, and what they cause is there at once.

`crash` in place of a turn forgets what memory derived and starts again from the facts, as a new process would.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from processors.charter import CompiledCharter
from schemas.records import AuditRecord, ControlCommand, Record
from schemas.topics import AUDIT, BY_NAME, Topic
from streams.charters import Control
from streams.runtime.changes import Changes
from streams.runtime.delivery import Delivery
from streams.runtime.stage import Commit, Handlers
from streams.runtime.tables import FactTable
from tests.processors.examples import NOW
from tests.streams.runtime.memory import table
from tests.streams.storm.conversation import local_codec

R = TypeVar("R", bound=Record)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CODEC = local_codec()
PARTITION = 1


class Crash(BaseException):
    """The process is gone. Not an `Exception`: nothing may catch it."""


@dataclass
class Clock:
    """A clock that stands still until it is told."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Step:
    """Makes a conversation's steps durable at once; `crash_after` so many of them the process is gone."""

    crash_after: int | None = None
    steps: int = 0

    def alive(self) -> None:
        """It always is."""

    async def __call__(self, changes: Changes) -> None:
        _remember(changes)
        self.steps += 1
        if self.steps == self.crash_after:
            raise Crash


@dataclass
class Bench:
    """One stage with its tables."""

    handlers: Handlers
    step: Step = field(default_factory=Step)

    def __post_init__(self) -> None:
        self.tables: dict[str, FactTable] = {name: table(name) for name in self.handlers.table_names}
        self.handlers.bind(self.tables, cast(Commit, self.step))

    async def take(self, topic: Topic, record: Record, offset: int = 0, replay_of: str | None = None) -> Changes:
        """What a record at `offset` comes to. Its facts are remembered."""
        handler = next(route.handler for route in self.handlers.routes() if route.topic == topic)
        changes = self._changes()
        conversation = handler(Delivery(record, topic, PARTITION, offset, TRACE, replay_of), changes)
        if conversation is not None:
            await conversation()
        _remember(changes)
        return changes

    def tick(self, *, dies: bool = False) -> Changes:
        """What time causes. A process that `dies` then had its facts durable, and not its words."""
        changes = self._changes()
        self.handlers.tick(PARTITION, changes)
        if dies:
            changes.puts_once_said.clear()
        _remember(changes)
        return changes

    def inherit(self, dead: "Bench") -> "Bench":
        """Start from what another process left behind."""
        for name, facts in dead.tables.items():
            mine = self.tables[name]
            mine._facts = {partition: dict(facts.facts(partition)) for partition in facts.partitions_held()}
            mine._expires_at, mine._expiries = dict(facts._expires_at), {p: list(h) for p, h in facts._expiries.items()}
        self.handlers.recovered()
        return self

    def _changes(self) -> Changes:
        return Changes(CODEC, "t.", PARTITION, (("traceparent", TRACE.encode()),))


def _remember(changes: Changes) -> None:
    for put in (*changes.puts, *changes.puts_once_said):
        put.table.write(put)


def said(changes: Changes, topic: Topic, kind: type[R]) -> list[R]:
    """What was said on a topic."""
    messages = [message for message in changes.messages if message.topic == "t." + topic.name]
    return [CODEC.decode(kind, message.value) for message in messages]


def audited(changes: Changes) -> list[AuditRecord]:
    return said(changes, AUDIT, AuditRecord)


def words(changes: Changes) -> list[tuple[str, Record]]:
    """Everything that was said, in order."""
    return [
        (message.topic, CODEC.decode(BY_NAME[message.topic.removeprefix("t.")].record, message.value))
        for message in changes.messages
    ]


def in_force(*charters: CompiledCharter) -> Control:
    """A control where these charters are promoted."""
    control = Control()
    for compiled in charters:
        agent, version, content = compiled.agent, compiled.version, compiled.charter.to_json()
        control.obey(order("charter", agent, f"{agent}/{version}", charter=content, charter_version=version))
        control.obey(order("promote", agent, f"{agent}/promoted", charter_version=version))
    return control


def order(kind: str, agent: str, key: str, **fields: Any) -> ControlCommand:
    return ControlCommand.model_validate(
        {"kind": kind, "agent": agent, "key": key, "issued_by": "ops", "time": NOW, **fields}
    )
