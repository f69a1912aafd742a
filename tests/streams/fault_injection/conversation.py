"""The stage under test. Like decide and act it asks a question whose answer differs each time, and then acts.

The answer is random, so a record that is answered twice is detected. The effect is a line in the worker's journal, so
an effect that should not have happened is detected, too.
"""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from pydantic import BaseModel

from nightdesk.schemas.codec import Codec, UnknownSchema
from nightdesk.schemas.ids import record_id
from nightdesk.schemas.records import AuditRecord, Event
from nightdesk.schemas.topics import INGEST, RECORDS
from nightdesk.streams.api import Commit, Delivery, Route, Stage, StagedWrites, Table, async_handler


def local_codec() -> Codec:
    """A codec with schema ids of its own, so that no registry is needed."""
    return Codec({record: number for number, record in enumerate(RECORDS, start=1)}, _fetch)


def _fetch(schema_id: int) -> dict[str, Any]:
    raise UnknownSchema(f"schema {schema_id} is not one of ours")


class Journal:
    """Lines that survive the process: its effects, and what happened to it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self.let_go = path.with_name("let-go")

    def write(self, kind: str, **fields: Any) -> None:
        line = {"kind": kind, "pid": os.getpid(), "at": time.time(), **fields}
        self._file.write(orjson.dumps(line) + b"\n")


class Content(BaseModel):
    """An event's data. Its answer takes `delay_ms`, or comes when the journal's folder has a file `let-go`.

    `kills` ends the process at once, as a fault in a C library does. `in_steps` acts on the answer; otherwise it is
    only stored and emitted.
    """

    amount: int = 1
    delay_ms: int = 0
    waits: bool = False
    kills: bool = False
    in_steps: bool = True


class KnownAnswer(BaseModel):
    """The stored answer to an event's question."""

    answer: str
    amount: int


class AsyncHandler(Stage):
    """The stage of the storm."""

    name = "storm"
    table_names = ("answers",)

    def __init__(self, journal: Journal, *, at_once: bool) -> None:
        super().__init__()
        self._journal = journal
        self._at_once = at_once
        self._answers = Table("answers", KnownAnswer)
        self.tables = (self._answers,)
        self._commit: Commit

    def routes(self) -> tuple[Route, ...]:
        return (Route(INGEST, async_handler(self.take)),)

    def bind(self, commit: Commit) -> None:
        self._commit = commit

    async def take(self, delivery: Delivery[Event], writes: StagedWrites) -> None:
        """Ask, store the answer, act, emit it."""
        event, partition = delivery.record, delivery.partition
        content = Content.model_validate_json(event.data)
        self._journal.write("asked", id=event.id)
        if content.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        known = self._answers.get(partition, event.id)
        if known is None:
            await self._wait(content)
            known = KnownAnswer(answer=uuid4().hex, amount=content.amount)
            step = writes.empty() if content.in_steps else writes
            self._answers.put(step, event.id, known)
            if content.in_steps:
                await self._commit(step)
        answer = known.answer
        if content.in_steps:
            self._commit.alive()
            self._journal.write("effect", id=event.id, answer=answer)
        writes.audit(_said(event, answer))

    async def _wait(self, content: Content) -> None:
        if not self._at_once:
            await asyncio.sleep(content.delay_ms / 1000)
        while content.waits and not self._journal.let_go.exists():  # noqa: ASYNC110 - another process creates it
            await asyncio.sleep(0.1)


def _said(event: Event, answer: str) -> AuditRecord:
    return AuditRecord(
        record_id=record_id("received", event.id),
        kind="received",
        time=event.time,
        subject=event.subject,
        event_id=event.id,
        status="running",
        reason=answer,
    )
