"""Dead letters of a real ingest worker: parked events keep their order through kills, and a replay is handled once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Producer

from nightdesk.local.progress import Silent
from nightdesk.local.stack import LocalStack
from nightdesk.local.stages import stage_parts
from nightdesk.local.supervisor import Supervisor
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations.charters import load_charter
from nightdesk.operations.orders import charter_orders, give_orders
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import AuditRecord, BudgetEntry, Event
from nightdesk.settings import Settings
from tests.nightdesk.command_line import CommandLine
from tests.nightdesk.letters import DlqWriter, everything

CHARTER = Path(__file__).parents[2] / "charters" / "support-triage"
PATIENCE_S = 120.0


@pytest.fixture
def codec(topics: Settings) -> Iterator[Codec]:
    with registered_codec(topics) as codec:
        yield codec


@pytest.fixture
def worker(stack: LocalStack, topics: Settings, tmp_path: Path) -> Iterator[Supervisor]:
    """The ingest stage, with a charter that parks."""
    shutil.copytree(CHARTER, tmp_path / "parking")
    with (tmp_path / "parking" / "charter.yaml").open("a") as charter:
        charter.write("\ndead_letters: {park_subject: true}\n")
    give_orders(topics, charter_orders([load_charter(tmp_path / "parking")]))
    [part] = [part for part in stage_parts(stack) if part.name == "ingest"]
    environment = {**part.environment, "NIGHTDESK_KAFKA__TOPIC_PREFIX": topics.kafka.topic_prefix}
    with Supervisor(tmp_path, stack.environment(), Silent()) as supervisor:
        supervisor.start(replace(part, environment=environment))
        yield supervisor


def send(settings: Settings, subject: str, *values: bytes) -> None:
    producer = Producer({**settings.kafka.client_config(), "partitioner": "murmur2_random"})
    for value in values:
        producer.produce(settings.kafka.topic_prefix + "ingest", value, subject)
    assert producer.flush(30) == 0


def ticket(codec: Codec, event_id: str, subject: str) -> bytes:
    data = (
        '{"status": "open", "priority": "normal", "customer": "c-1", "channel": "email", "subject": "?", "text": "?"}'
    )
    now = datetime.now(UTC)
    return codec.encode(Event(id=event_id, source="shop", type="ticket.created", subject=subject, time=now, data=data))


def wait(worker: Supervisor, done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        worker.check()
        assert time.monotonic() < deadline, what
        time.sleep(0.3)


def kill(worker: Supervisor) -> None:
    [child] = worker.children
    if child.process is not None:
        child.process.kill()


def began(settings: Settings, codec: Codec) -> list[str]:
    """Events that became cases, each once, in the order in which they asked for money."""
    entries = [codec.decode(BudgetEntry, message.value()) for message in everything(settings, "budget")]
    return list(dict.fromkeys(entry.case.event.id for entry in entries if entry.case))


def audited(settings: Settings, codec: Codec, kind: str) -> set[str]:
    lines = [codec.decode(AuditRecord, message.value()) for message in everything(settings, "audit")]
    return {line.event_id for line in lines if line.kind == kind}


def test_later_events_wait_behind_a_dead_letter_and_go_on_in_order(
    worker: Supervisor, topics: Settings, codec: Codec, nightdesk: CommandLine
) -> None:
    """The worker is killed while they wait, and again when they continue."""
    names = [f"a-{number}" for number in range(4)]
    send(topics, "a", b"unreadable", *(ticket(codec, name, "a") for name in names[:3]))
    send(topics, "b", ticket(codec, "b-0", "b"))
    wait(worker, lambda: began(topics, codec) == ["b-0"], "another subject's case")
    wait(worker, lambda: audited(topics, codec, "parked") == set(names[:3]), "three that wait")
    kill(worker)
    send(topics, "a", ticket(codec, names[3], "a"))
    wait(worker, lambda: audited(topics, codec, "parked") == set(names), "the next that waits")
    assert began(topics, codec) == ["b-0"]

    [letter] = nightdesk("dlq", "list", "--subject", "a", "--output", "json").json()
    assert letter["waiting"] == len(names)
    assert nightdesk("dlq", "replay", letter["dead_letter_id"]).code == 0
    wait(worker, lambda: bool(nightdesk("dlq", "list", "-o", "json").json()), "a replay that failed again")
    [again] = nightdesk("dlq", "list", "-o", "json").json()
    assert (again["attempts"], again["replay_of"]) == (2, letter["dead_letter_id"])
    assert began(topics, codec) == ["b-0"]
    assert nightdesk("dlq", "discard", "--all", "--reason", "noise").code == 0
    kill(worker)
    wait(worker, lambda: len(began(topics, codec)) == 5, "those that had waited")
    assert began(topics, codec) == ["b-0", *names]


def test_an_event_that_was_taken_in_truth_is_not_taken_twice(
    worker: Supervisor, topics: Settings, codec: Codec, nightdesk: CommandLine
) -> None:
    """The letter of an event that its producer sent again, and that was accepted then."""
    value = ticket(codec, "taken", "t")
    send(topics, "t", value)
    wait(worker, lambda: began(topics, codec) == ["taken"], "a case")
    [came] = everything(topics, "ingest")
    DlqWriter(topics, codec)(value, b"t", partition=came.partition())
    assert nightdesk("dlq", "replay", "--all").code == 0
    wait(worker, lambda: audited(topics, codec, "ignored") == {"taken"}, "a duplicate that is passed over")
    assert len(everything(topics, "budget")) == 1
