"""The stage under test: like decide and act, it asks something that never answers the same twice, and then acts.

Used by the worker. The answer is drawn at random, so a record that is answered a second time is found out; the effect
is a line in the worker's journal, so that one that should not have happened is found out too.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from pydantic import BaseModel

from schemas.codec import Codec, UnknownSchema
from schemas.ids import record_id
from schemas.records import RECORDS, AuditRecord, Event
from schemas.topics import INGEST
from streams.runtime.changes import Changes
from streams.runtime.delivery import Delivery
from streams.runtime.guard import Route, conversing
from streams.runtime.stage import Commit
from streams.runtime.tables import FactTable


def local_codec() -> Codec:
    """A codec with ids of its own, so that no registry is needed."""
    return Codec({record: number for number, record in enumerate(RECORDS, start=1)}, _fetch)


def _fetch(schema_id: int) -> dict[str, Any]:
    raise UnknownSchema(f"schema {schema_id} is not one of ours")


class Journal:
    """Lines that outlive the process: what it did to the world, and what happened to it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self.let_go = path.with_name("let-go")

    def write(self, kind: str, **fields: Any) -> None:
        line = {"kind": kind, "pid": os.getpid(), "at": time.time(), **fields}
        self._file.write(orjson.dumps(line) + b"\n")


class Content(BaseModel):
    """An event's data. Its answer takes `delay_ms`, or comes when the journal's folder holds a file `let-go`.

    `in_steps` acts upon the answer; otherwise it is only remembered and said.
    """

    amount: int = 1
    delay_ms: int = 0
    waits: bool = False
    in_steps: bool = True


class Conversation:
    """Handlers of the storm's stage."""

    name = "storm"
    table_names = ("answers",)

    def __init__(self, journal: Journal, *, at_once: bool) -> None:
        self._journal = journal
        self._at_once = at_once
        self._answers: FactTable
        self._commit: Commit

    def routes(self) -> tuple[Route, ...]:
        return (Route(INGEST, conversing(self.take)),)

    def bind(self, tables: dict[str, FactTable], commit: Commit) -> None:
        self._answers, self._commit = tables["answers"], commit

    def recovered(self) -> None:
        """Nothing is derived."""

    def tick(self, partition: int, changes: Changes) -> None:
        """Time causes nothing here."""

    async def close(self) -> None:
        """Nothing is held."""

    async def take(self, delivery: Delivery[Event], changes: Changes) -> None:
        """Ask, remember the answer, act, say it."""
        event, partition = delivery.record, delivery.partition
        content = Content.model_validate_json(event.data)
        self._journal.write("asked", id=event.id)
        known = self._answers.read(partition, event.id)
        if known is None:
            await self._wait(content)
            known = orjson.dumps({"answer": uuid4().hex, "amount": content.amount})
            step = changes.empty() if content.in_steps else changes
            step.put(self._answers, event.id, known)
            if content.in_steps:
                await self._commit(step)
        answer = orjson.loads(known)["answer"]
        if content.in_steps:
            self._commit.alive()
            self._journal.write("effect", id=event.id, answer=answer)
        changes.audit(_said(event, answer))

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
