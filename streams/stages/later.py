"""Later: durable timers. A reminder is remembered until it is due, then said once on the topic that it names.

`timers` holds every reminder that is not due and, for a day, the ids of those that were said: the same reminder again
(a redelivery, a stage that repeats itself) finds that it was. It is marked as said when it durably was, because no
record would come again to say it; a process that dies says it again at worst, and readers drop the second of an id.
"""

import heapq
from datetime import UTC, datetime

import orjson

from schemas.records import Reminder
from schemas.topics import BY_NAME, LATER
from streams.runtime.changes import Changes
from streams.runtime.delivery import Delivery
from streams.runtime.guard import Route
from streams.runtime.policy import Clock
from streams.runtime.stage import Commit
from streams.runtime.tables import FactTable

FIRED_FOR_S = 86_400
# So many reminders a turn, so that a thousand that are due at once do not hold up the partition.
FIRED_A_TURN = 500


class UnknownTopic(ValueError):
    """A reminder names a topic that is not ours."""


class Later:
    """Handlers of the later stage."""

    name = "later"
    table_names = ("timers",)

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[int, list[tuple[float, str]]] = {}
        self._timers: FactTable

    def routes(self) -> tuple[Route, ...]:
        return (Route(LATER, self.set),)

    def bind(self, tables: dict[str, FactTable], commit: Commit) -> None:
        self._timers = tables["timers"]

    def recovered(self) -> None:
        """Line the waiting ones up again."""
        self._due = {}
        for partition in self._timers.partitions_held():
            waiting = [
                (fact["due"], key.decode())
                for key, value in self._timers.facts(partition).items()
                if (fact := orjson.loads(value))["state"] == "waiting"
            ]
            heapq.heapify(waiting)
            self._due[partition] = waiting

    async def close(self) -> None:
        """Nothing is held."""

    def set(self, delivery: Delivery[Reminder], changes: Changes) -> None:
        """Remember a reminder, unless it is known."""
        reminder = delivery.record
        if reminder.topic not in BY_NAME:
            raise UnknownTopic(f"{reminder.topic!r} is no topic of the topic table")
        if self._timers.read(delivery.partition, reminder.reminder_id) is not None:
            return
        due = reminder.due_at.timestamp()
        fact = {"state": "waiting", "due": due, "reminder": reminder.model_dump(mode="json", exclude={"value"})}
        fact["value"] = reminder.value.hex()
        changes.put(self._timers, reminder.reminder_id, orjson.dumps(fact))
        heapq.heappush(self._due.setdefault(delivery.partition, []), (due, reminder.reminder_id))

    def tick(self, partition: int, changes: Changes) -> None:
        """Say what is due; forget what was said long ago."""
        now = self._clock()
        for reminder_id in self._pop_due(partition, now):
            value = self._timers.read(partition, reminder_id)
            fact = None if value is None else orjson.loads(value)
            if fact is not None and fact["state"] == "waiting":
                self._say(reminder_id, fact, changes, now)
        for key in self._timers.expired(partition, now.timestamp()):
            changes.forget(self._timers, key.decode())

    def _pop_due(self, partition: int, now: datetime) -> list[str]:
        waiting = self._due.get(partition, [])
        due: list[str] = []
        while waiting and waiting[0][0] <= now.timestamp() and len(due) < FIRED_A_TURN:
            due.append(heapq.heappop(waiting)[1])
        return due

    def _say(self, reminder_id: str, fact: dict[str, object], changes: Changes, now: datetime) -> None:
        reminder = Reminder.model_validate({**_mapping(fact["reminder"]), "value": bytes.fromhex(str(fact["value"]))})
        trace = reminder.traceparent
        changes.headers = (("traceparent", trace.encode()),) if trace else ()
        changes.send(BY_NAME[reminder.topic], reminder.key, reminder.value)
        fired = orjson.dumps({"state": "fired", "at": now.astimezone(UTC).isoformat()})
        changes.put_once_said(self._timers, reminder_id, fired, now.timestamp() + FIRED_FOR_S)


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"a timer's fact holds {type(value).__name__} where the reminder should be")
    return value
