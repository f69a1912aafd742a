"""The pipeline under test, with topics and tables of its own. Scenarios start it, send events, break it and wait for
it.

Every function that waits also restarts processes that ended.
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

from nightdesk.local.parts import python_module
from nightdesk.local.stack import LocalStack
from nightdesk.messaging.blocking_producer import produce
from nightdesk.messaging.failures import Failure
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations.charters import charter_files, load_charter
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.migrations import migrate_database
from nightdesk.operations.orders import charter_orders, give_orders
from nightdesk.operations.schemas import register_schemas
from nightdesk.operations.stage_status import StageStatus, stage_status
from nightdesk.operations.topics import apply_topics
from nightdesk.processors.charter import Charter
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import Record
from nightdesk.schemas.topics import Topic
from nightdesk.settings import Settings
from tests.chaos.events import Sent
from tests.chaos.fleet import Fleet, fleet_parts
from tests.chaos.kafka_proxy import KafkaProxy
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
    """Print progress to stderr, because stdout is for the result."""
    print(f"  {line}", file=sys.stderr, flush=True)


@dataclass
class World:
    """A running pipeline. The checker compares `sent` and `poison` with the result; `observed` has the violations that
    a scenario saw. `others` counts the events by source that `sent` lacks and that must end as well. `proxy` stands
    between processes and broker if the scenario is `proxied`.
    """

    stack: LocalStack
    settings: Settings
    charters: tuple[Charter, ...]
    codec: Codec
    outside: Outside
    fleet: Fleet
    sender: Sender
    proxy: KafkaProxy | None = None
    sent: list[Sent] = field(default_factory=list)
    poison: list[Raw] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    observed: list[str] = field(default_factory=list)

    def send(self, events: Sequence[Sent], over_s: float = 0.0, again: Iterable[Sent] = ()) -> None:
        """Begin to send events; those of `again` follow as duplicates."""
        self.expect(events)
        everything = [*events, *again]
        self.sender.send([Raw(one.subject, self.codec.encode(one.event())) for one in everything], over_s)

    def expect(self, events: Sequence[Sent]) -> None:
        """Events that arrive another way, and must end like all others."""
        self.sent += events

    def produce(self, topic: Topic, records: Sequence[Record]) -> None:
        """Produce to another topic than ingest; returns when the broker has acknowledged everything."""
        produce(self.settings.kafka, topic, [(str(getattr(one, topic.key)), self.codec.encode(one)) for one in records])

    def send_poison(self, records: Sequence[Raw], over_s: float = 0.0) -> None:
        """Begin to send records that must end as dead letters."""
        self.poison += records
        self.sender.send(records, over_s)

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.until(lambda: False, seconds)

    def until(self, holds: Callable[[], bool], within_s: float, poll_s: float = POLL_S) -> bool:
        """Whether the condition became true in time."""
        deadline = time.monotonic() + within_s
        while not holds():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            self.fleet.keep()
            time.sleep(min(poll_s, left_s))
        return True

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows that ClickHouse returns."""
        with clickhouse(self.settings.clickhouse) as client:
            return [tuple(row) for row in client.query(query).result_rows]

    def nightdesk(self, *arguments: str) -> bytes:
        """The output of the command."""
        run = self.run_nightdesk(*arguments)
        assert run.returncode == 0, f"nightdesk {arguments}: {run.stderr.decode()}"
        return run.stdout

    def run_nightdesk(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """The result of the command, even if it fails."""
        told = self.stack.environment() | _environment(self.settings, self.outside)
        return subprocess.run(python_module("nightdesk", *arguments), env=told, capture_output=True, check=False)

    def ended(self, source: str, within_s: float) -> bool:
        """Whether every event of the source ended in time."""
        wanted = sum(one.source == source for one in self.sent)
        return self.until(lambda: self._ended()[source] >= wanted, within_s, LOOK_S)

    def service(self, name: str) -> Service:
        """A part of the stack: kafka, registry or clickhouse."""
        return Service(self.stack, name)

    def calm(self, within_s: float = CALM_WITHIN_S) -> None:
        """Wait until every event has ended and no stage has lag; if that takes too long, observe which stage has."""
        self.sender.finish()
        deadline = time.monotonic() + within_s
        wanted = Counter(one.source for one in self.sent) + self.others
        if not self.until(lambda: self._ended() >= wanted, within_s, LOOK_S):
            self.observed.append(f"{(wanted - self._ended()).total()} events without an end after {within_s:.0f} s")
        left_s = max(LOOK_S, deadline - time.monotonic())
        if not self.until(lambda: not self.behind(), left_s, LOOK_S):
            self.observed.append(f"not calm after {within_s:.0f} s: {self.behind()}")

    def behind(self) -> dict[str, StageStatus]:
        """The stages that have lag."""
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
def running_world(stack: LocalStack, outside: Outside, logs: Path, proxy: KafkaProxy | None = None) -> Iterator[World]:
    """Start a pipeline on `stack`; yield it when it is ready, and end its processes afterwards."""
    settings, charters = _settings(stack), _charters()
    apply_topics(settings.kafka)
    register_schemas(settings)
    migrate_database(settings.clickhouse)
    give_orders(settings, charter_orders(charters))
    fleet = Fleet(fleet_parts(stack, _environment(settings, outside), proxy), logs)
    try:
        with registered_codec(settings) as codec:
            fleet.start()
            yield World(stack, settings, charters, codec, outside, fleet, Sender(settings), proxy)
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
        # Of its own, because its circuit opens when the bank lies.
        "NIGHTDESK_CONNECTIONS__BANK__BASE_URL": outside.actions.url,
        "NIGHTDESK_CONNECTIONS__BANK__ALLOW_PRIVATE": "true",
        "NIGHTDESK_OPENAI__BASE_URL": outside.model.openai_url,
        "NIGHTDESK_WORKER__SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
        "NIGHTDESK_WORKER__IN_FLIGHT": str(IN_FLIGHT),
        "NIGHTDESK_LOG__LEVEL": "warning",
        # Faust makes a folder for data that we do not keep there.
        "APP_DATADIR": str(settings.home / "faust"),
    }
