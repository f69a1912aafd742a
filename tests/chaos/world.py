"""The pipeline under test, with topics and tables of its own: started, fed, broken by a scenario, waited for.

Everything that waits here keeps the fleet running.
"""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from confluent_kafka import KafkaException

from nightdesk.charters import charter_files, load_charter
from nightdesk.clickhouse import clickhouse
from nightdesk.commands.migrate import migrate_database
from nightdesk.commands.schemas import register_schemas
from nightdesk.commands.status import StageStatus, stage_status
from nightdesk.commands.topics import apply_topics
from nightdesk.control import charter_orders, give_orders
from nightdesk.exits import Failure
from nightdesk.local.parts import python_module
from nightdesk.local.stack import LocalStack
from nightdesk.registered_codec import registered_codec
from nightdesk.saying import say
from nightdesk.settings import Settings
from processors.charter import Charter
from schemas.codec import Codec
from schemas.records import Record
from schemas.topics import Topic
from tests.chaos.events import Sent
from tests.chaos.fleet import Fleet, fleet_parts
from tests.chaos.outside import Outside
from tests.chaos.sender import Raw, Sender
from tests.chaos.services import Service

CHARTERS = Path(__file__).parent / "charters"
SESSION_TIMEOUT_S = 10
# Records that a process takes at once: few, so that backpressure comes with hundreds of events and not with thousands.
IN_FLIGHT = 100
POLL_S = 0.1
LOOK_S = 1.0
CALM_WITHIN_S = 240.0


def tell(line: str) -> None:
    """Progress goes to stderr: stdout is the result's."""
    print(f"  {line}", file=sys.stderr, flush=True)


@dataclass
class World:
    """A running pipeline. `sent` and `poison` are the truth that the checker holds against what is there; `observed`
    is what a scenario saw to be wrong.
    """

    stack: LocalStack
    settings: Settings
    charters: tuple[Charter, ...]
    codec: Codec
    outside: Outside
    fleet: Fleet
    sender: Sender
    sent: list[Sent] = field(default_factory=list)
    poison: list[bytes] = field(default_factory=list)
    observed: list[str] = field(default_factory=list)

    def send(self, events: Sequence[Sent], over_s: float = 0.0, again: Iterable[Sent] = ()) -> None:
        """Begin to send events; those of `again` follow as duplicates."""
        self.expect(events)
        everything = [*events, *again]
        self.sender.send([Raw(one.subject, self.codec.encode(one.event())) for one in everything], over_s)

    def expect(self, events: Sequence[Sent]) -> None:
        """Events that come another way, and must have their end like all others."""
        self.sent += events

    def say(self, topic: Topic, records: Sequence[Record]) -> None:
        """Produce to another topic than ingest; returns when the broker has all of them."""
        say(self.settings.kafka, topic, [(str(getattr(one, topic.key)), self.codec.encode(one)) for one in records])

    def send_poison(self, records: Sequence[Raw], over_s: float = 0.0) -> None:
        """Begin to send records that must end as dead letters."""
        self.poison += [record.value for record in records]
        self.sender.send(records, over_s)

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.until(lambda: False, seconds)

    def until(self, holds: Callable[[], bool], within_s: float, poll_s: float = POLL_S) -> bool:
        """Whether it came to hold in time."""
        deadline = time.monotonic() + within_s
        while not holds():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            self.fleet.keep()
            time.sleep(min(poll_s, left_s))
        return True

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What ClickHouse answers."""
        with clickhouse(self.settings.clickhouse) as client:
            return [tuple(row) for row in client.query(query).result_rows]

    def nightdesk(self, *arguments: str) -> bytes:
        """What the command prints."""
        told = self.stack.environment() | _environment(self.settings, self.outside)
        run = subprocess.run(python_module("nightdesk", *arguments), env=told, capture_output=True, check=False)
        assert run.returncode == 0, f"nightdesk {arguments}: {run.stderr.decode()}"
        return run.stdout

    def ended(self, source: str, within_s: float) -> bool:
        """Whether every event of the source came to its end in time."""
        wanted = sum(one.source == source for one in self.sent)
        return self.until(lambda: self._ended()[source] >= wanted, within_s, LOOK_S)

    def service(self, name: str) -> Service:
        """A part of the stack: kafka, registry or clickhouse."""
        return Service(self.stack, name)

    def calm(self, within_s: float = CALM_WITHIN_S) -> None:
        """Wait until every event has its end and nobody is behind; observe who is, when that takes too long."""
        self.sender.finish()
        deadline = time.monotonic() + within_s
        wanted = Counter(one.source for one in self.sent)
        if not self.until(lambda: self._ended() >= wanted, within_s, LOOK_S):
            self.observed.append(f"{(wanted - self._ended()).total()} events without an end after {within_s:.0f} s")
        left_s = max(LOOK_S, deadline - time.monotonic())
        if not self.until(lambda: not self.behind(), left_s, LOOK_S):
            self.observed.append(f"not calm after {within_s:.0f} s: {self.behind()}")

    def behind(self) -> dict[str, StageStatus]:
        """The stages that have something to do."""
        try:
            return {name: found for name, found in stage_status(self.settings.kafka).items() if found.lag}
        except (Failure, KafkaException):
            return {"kafka": StageStatus("away", 0, None)}

    def _ended(self) -> Counter[str]:
        query = "SELECT event_source, count() FROM ends WHERE state = 'ended' AND event_id != '' GROUP BY 1"
        try:
            return Counter(dict(self.rows(query)))
        except Failure:
            return Counter()


@contextmanager
def running_world(stack: LocalStack, outside: Outside, logs: Path) -> Iterator[World]:
    """A pipeline on `stack`, ready; its processes are gone afterwards."""
    settings, charters = _settings(stack), _charters()
    apply_topics(settings.kafka)
    register_schemas(settings)
    migrate_database(settings.clickhouse)
    give_orders(settings, charter_orders(charters))
    fleet = Fleet(fleet_parts(stack, _environment(settings, outside)), logs)
    try:
        with registered_codec(settings) as codec:
            fleet.start()
            yield World(stack, settings, charters, codec, outside, fleet, Sender(settings))
    finally:
        fleet.stop()


def _charters() -> tuple[Charter, ...]:
    return tuple(load_charter(file) for file in charter_files(CHARTERS))


def _settings(stack: LocalStack) -> Settings:
    name = f"chaos-{uuid4().hex[:8]}"
    kafka = stack.settings.kafka.model_copy(update={"topic_prefix": f"{name}."})
    url = f"{stack.settings.clickhouse.url.rpartition('/')[0]}/{name.replace('-', '_')}"
    database = stack.settings.clickhouse.model_copy(update={"url": url})
    return stack.settings.model_copy(update={"kafka": kafka, "clickhouse": database})


def _environment(settings: Settings, outside: Outside) -> dict[str, str]:
    return {
        "NIGHTDESK_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
        "NIGHTDESK_CLICKHOUSE__URL": settings.clickhouse.url,
        "NIGHTDESK_CONNECTIONS__ACTIONS__BASE_URL": outside.actions.url,
        "NIGHTDESK_CONNECTIONS__ACTIONS__ALLOW_PRIVATE": "true",
        "NIGHTDESK_OPENAI__BASE_URL": outside.model.openai_url,
        "NIGHTDESK_WORKER__SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
        "NIGHTDESK_WORKER__IN_FLIGHT": str(IN_FLIGHT),
        "NIGHTDESK_LOG__LEVEL": "warning",
        # Faust makes a folder for data that we do not keep there.
        "APP_DATADIR": str(settings.home / "faust"),
    }
