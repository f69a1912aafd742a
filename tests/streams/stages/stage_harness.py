"""A stage without a broker: the test passes records in one by one and gets what they cause at once.

`crash` in place of a turn discards what memory derived and starts again from the tables, as a new process would.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar
from unittest.mock import patch

from nightdesk.processors.charter import CompiledCharter, compiled_from_json
from nightdesk.schemas.records import AuditRecord, ControlCommand, Record
from nightdesk.schemas.topics import AUDIT, BY_NAME, Topic
from nightdesk.streams import known_charters
from nightdesk.streams.api import Delivery, Stage, StagedWrites
from nightdesk.streams.api.state_store import StateStore
from nightdesk.streams.confirmation import Confirmation
from nightdesk.streams.control import Control
from nightdesk.streams.in_memory import InMemoryStage
from tests.processors.examples import NOW
from tests.streams.fault_injection.conversation import local_codec

R = TypeVar("R", bound=Record)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CODEC = local_codec()
PARTITION = 1
# A charter's JSON means the same to every process. Reading it takes longer than most tests.
_read_once = lru_cache(maxsize=256)(compiled_from_json)


class Crash(BaseException):
    """The process is gone. It is not an `Exception`, because nothing may catch it."""


@dataclass
class Clock:
    """A clock that moves only when the test moves it."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Step:
    """What happens when a handler makes a step durable: after `crash_after` steps the process is gone. A step that is
    not `owner` any more raises when it is about to act.
    """

    crash_after: int | None = None
    owner: bool = True
    steps: int = 0

    def alive(self) -> None:
        if not self.owner:
            raise Crash

    def made(self) -> None:
        self.steps += 1
        if self.steps == self.crash_after:
            raise Crash


class Bench(InMemoryStage):
    """One stage that owns four partitions and reads one of them."""

    def __init__(self, handlers: Stage, step: Step | None = None) -> None:
        self.step = step or Step()
        super().__init__(handlers, CODEC, topic_prefix="t.", partitions=range(4))
        self.handlers = handlers
        self.tables: dict[str, StateStore] = {table.name: table.store for table in handlers.tables}

    def alive(self) -> None:
        self.step.alive()

    async def __call__(self, writes: StagedWrites) -> None:
        await super().__call__(writes)
        self.step.made()

    async def take(
        self,
        topic: Topic,
        record: Record,
        offset: int = 0,
        replay_of: str | None = None,
        origin: str = "",
        offered_to: str = "",
        stored_at: datetime | None = None,
    ) -> StagedWrites:
        """The result of a record at `offset`."""
        place = Delivery(record, topic, PARTITION, offset, TRACE, replay_of, origin, offered_to, stored_at=stored_at)
        return await self.handle(place)

    def tick(self, partition: int = PARTITION, *, dies: bool = False) -> StagedWrites:
        """The result of a tick. A process that `dies` in it has its state durable, but not its output."""
        if not dies:
            return super().tick(partition)
        writes = self.stage_writes(partition)
        self.stage.advance(partition, writes)
        writes.puts_after_emit.clear()
        self.make_durable(writes)
        return writes

    def inherit(self, dead: "Bench") -> "Bench":
        """Start from what another process left behind."""
        self.recover(dead.changelog)
        return self


def said(writes: StagedWrites, topic: Topic, kind: type[R]) -> list[R]:
    """The records that were emitted to a topic."""
    messages = [message for message in writes.messages if message.topic == "t." + topic.name]
    return [CODEC.decode(kind, message.value) for message in messages]


def audited(writes: StagedWrites) -> list[AuditRecord]:
    """All but the questions to models."""
    return [one for one in said(writes, AUDIT, AuditRecord) if one.kind != "asked"]


def questioned(writes: StagedWrites) -> list[AuditRecord]:
    """The questions to models."""
    return [one for one in said(writes, AUDIT, AuditRecord) if one.kind == "asked"]


def words(writes: StagedWrites) -> list[tuple[str, Record]]:
    """All emitted records, in order."""
    return [
        (message.topic, CODEC.decode(BY_NAME[message.topic.removeprefix("t.")].record, message.value))
        for message in writes.messages
    ]


def in_force(*charters: CompiledCharter, confirmation: Confirmation | None = None) -> Control:
    """A control in which these charters are promoted."""
    control = Control(confirmation)
    with patch.object(known_charters, "compiled_from_json", _read_once):
        for compiled in charters:
            agent, version, content = compiled.agent, compiled.version, compiled.charter.to_json()
            control.apply(order("charter", agent, f"{agent}/{version}", charter=content, charter_version=version))
            control.apply(order("promote", agent, f"{agent}/promoted", charter_version=version))
    return control


def order(kind: str, agent: str, key: str, **fields: Any) -> ControlCommand:
    return ControlCommand.model_validate(
        {"kind": kind, "agent": agent, "key": key, "issued_by": "ops", "time": NOW, **fields}
    )
