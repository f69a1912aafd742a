"""Notify: `batches`, `told`."""

from datetime import datetime
from typing import Any

from nightdesk.processors.notifications import Message, RoutePolicy
from nightdesk.processors.playbook import StepResult
from nightdesk.schemas.records import Notification, Timer
from nightdesk.schemas.topics import NOTIFICATIONS, TIMERS
from nightdesk.streams.control import Control
from nightdesk.streams.stages.notify import Notify
from tests.processors.examples import NOW
from tests.streams.kept.stories.story import Story
from tests.streams.kept.tables import Tables, recover
from tests.streams.stages.stage_harness import Bench, Clock, said


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


STORIES = (Story("notices were collected", _notices_were_collected, _they_are_sent_together_once),)
