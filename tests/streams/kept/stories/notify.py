"""Notify: `batches`, `told`, `told_cases`."""

from datetime import datetime
from typing import Any

from nightdesk.processors.notifications import Message, RoutePolicy
from nightdesk.processors.playbook import StepResult
from nightdesk.schemas import audit_records
from nightdesk.schemas.records import AuditRecord, CaseStatus, Notification, StepOutcome, StepStatus, Timer
from nightdesk.schemas.topics import AUDIT, NOTIFICATIONS, TIMERS
from nightdesk.streams.control import Control
from nightdesk.streams.stages.notify import Notify
from tests.processors.examples import NOW
from tests.streams.kept.stories.story import Story, numbered
from tests.streams.kept.tables import Tables, recover
from tests.streams.stages.stage_harness import Bench, Clock, said
from tests.streams.stages.world import decision


class People:
    """One route; whatever it is sent is taken."""

    def __init__(self) -> None:
        self.routes = {"ops": RoutePolicy()}
        self.closes = frozenset[str]()
        self.got: list[Message] = []

    async def send(self, message: Message) -> StepResult:
        self.got.append(message)
        return StepResult("done")

    async def close(self) -> None:
        """Nothing is held."""


def _notice(kind: Any, number: int, time: datetime = NOW, **fields: str) -> Notification:
    return Notification(
        notification_id=f"notice-{number}", route="ops", kind=kind, event_class="failure", time=time, **fields
    )


async def _notices_were_collected() -> Bench:
    bench = Bench(Notify(Control(), People(), Clock()))
    for number in range(2):
        await bench.take(
            NOTIFICATIONS, _notice("tell", number, text=f"failure {number}", about=f"letter-{number}"), number
        )
    return bench


async def _they_are_sent_together_once(tables: Tables) -> None:
    people, clock = People(), Clock()
    bench = recover(Bench(Notify(Control(), people, clock)), tables)
    assert (await bench.take(NOTIFICATIONS, _notice("tell", 1, text="failure 1"), 1)).puts == []
    writes = await bench.take(NOTIFICATIONS, _notice("tell", 2, text="failure 2"), 2)
    assert said(writes, TIMERS, Timer) == [], "the batch has its timer"
    [batch] = [batch for _, batch in bench.handlers.tables[0].items(1) if batch.count]
    due = _notice("send", 3, batch=batch.batch_id)
    for _ in range(2):
        await bench.take(NOTIFICATIONS, due, 3)
    assert [message.count for message in people.got] == [3]


async def _a_failure_was_told() -> Bench:
    bench = Bench(Notify(Control(), People(), Clock()))
    await bench.take(AUDIT, _acted("failed", "running"))
    return bench


async def _its_end_closes_it(tables: Tables) -> None:
    bench = recover(Bench(Notify(Control(), People(), Clock())), tables)
    for _ in range(2):
        ends = said(await bench.take(AUDIT, _acted("done", "escalated"), 1), NOTIFICATIONS, Notification)
        assert [(notice.kind, notice.route) for notice in ends] == [("closed", "ops")]


def _acted(status: StepStatus, ended: CaseStatus) -> AuditRecord:
    outcome = StepOutcome(step_id="s", position=0, handler="send", status=status, started_at=NOW)
    return audit_records.acted(decision(numbered(0), text="tomorrow"), (outcome,), ended, "", None, NOW)


STORIES = (
    Story("notices were collected", _notices_were_collected, _they_are_sent_together_once),
    Story("a failure was told", _a_failure_was_told, _its_end_closes_it),
)
