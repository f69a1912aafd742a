"""The main job as a user sees it: every stage a process, events from a stock client, answers from `why` and ClickHouse.

One pipeline for the module: the example charter, the Messages API on a local server, the help desk of the local stack.
"""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from playwright.sync_api import expect
from prometheus_client.parser import text_string_to_metric_families

from nightdesk.local.parts import LOOPBACK, Part, answers_http, python_module
from nightdesk.local.ports import claim_port
from nightdesk.local.progress import Silent
from nightdesk.local.stack import LocalStack
from nightdesk.local.stages import stage_parts
from nightdesk.local.supervisor import Supervisor
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.settings import plain
from nightdesk.operations.approvals import waiting_decisions
from nightdesk.operations.charters import load_charter
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.migrations import migrate_database
from nightdesk.operations.orders import charter_orders, give_orders
from nightdesk.operations.schemas import register_schemas
from nightdesk.operations.topics import apply_topics
from nightdesk.schemas import ids
from nightdesk.schemas.records import BudgetEntry, RateRequest
from nightdesk.settings import Settings
from tests import secret_leaks
from tests.console.browser import browsing, screen
from tests.console.server import running
from tests.fakes.otlp_collector import Collector, Received, collecting
from tests.generated.metrics_page import catalogue
from tests.nightdesk.command_line import CommandLine

CHARTER = Path(__file__).parents[2] / "charters" / "support-triage"
LIMITED = Path(__file__).parent / "charters" / "limited"
PATIENCE_S = 120.0
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass(frozen=True)
class Pipeline:
    """A running pipeline with topics and tables of its own."""

    stack: LocalStack
    settings: Settings
    stages: Supervisor
    collector: Collector

    @property
    def ingest(self) -> str:
        return f"{self.settings.kafka.topic_prefix}ingest"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with clickhouse(self.settings.clickhouse) as client:
            return [tuple(row) for row in client.query(query).result_rows]

    def wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            self.stages.check()
            assert time.monotonic() < deadline, f"{what}: {self.rows('SELECT kind, count() FROM records GROUP BY 1')}"
            time.sleep(0.3)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def pipeline(stack: LocalStack, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    prefix = f"main-{uuid.uuid4().hex[:8]}."
    url = f"{stack.settings.clickhouse.url.rpartition('/')[0]}/{prefix.strip('.').replace('-', '_')}"
    settings = stack.settings.model_copy(
        update={
            "kafka": stack.settings.kafka.model_copy(update={"topic_prefix": prefix}),
            "clickhouse": stack.settings.clickhouse.model_copy(update={"url": url}),
        }
    )
    apply_topics(settings.kafka)
    register_schemas(settings)
    migrate_database(settings.clickhouse)
    give_orders(settings, charter_orders([load_charter(CHARTER), load_charter(LIMITED)]))
    model = f"http://{LOOPBACK}:{claim_port(0, '')}"
    environment = {
        "NIGHTDESK_KAFKA__TOPIC_PREFIX": prefix,
        **secret_leaks.environment("ANTHROPIC", "OPENAI", "HELPDESK", "CONSOLE"),
        "NIGHTDESK_CLICKHOUSE__URL": secret_leaks.with_password(url),
        "NIGHTDESK_ANTHROPIC__BASE_URL": model,
        "NIGHTDESK_OTLP__ENDPOINT": collector.endpoint,
    }
    server = Part(
        name="model server",
        where=model,
        command=python_module("tests.pipeline.model", "--port", model.rpartition(":")[2]),
        is_ready=answers_http(f"{model}/count"),
        environment=stack.environment(),
    )
    parts = [replace(part, environment={**part.environment, **environment}) for part in stage_parts(stack)]
    logs = tmp_path_factory.mktemp("logs")
    with Supervisor(logs, stack.environment(), Silent()) as stages:
        stages.start(server, *parts)
        yield Pipeline(stack, settings, stages, collector)
        with urllib.request.urlopen(f"{model}/bodies") as asked:
            (logs / "asked.jsonl").write_bytes(asked.read())


class StockClient:
    """What any team has: confluent-kafka's producer and Avro serializer, the registry's url, and nothing of ours."""

    def __init__(self, pipeline: Pipeline, registry: SchemaRegistryClient) -> None:
        self._topic = pipeline.ingest
        self._serialize = AvroSerializer(registry, conf={"use.latest.version": True, "auto.register.schemas": False})
        bootstrap = pipeline.settings.kafka.bootstrap_servers
        self.producer = Producer({"bootstrap.servers": bootstrap, "message.max.bytes": 4_000_000})

    def send(self, event_id: str, subject: str, data: str | dict[str, Any], kind: str = "ticket.created") -> None:
        event = {
            "id": event_id,
            "source": "shop",
            "type": kind,
            "subject": subject,
            "time": datetime.now(UTC),
            "data": data if isinstance(data, str) else json.dumps(data),
        }
        value = self._serialize(event, SerializationContext(self._topic, MessageField.VALUE))
        self.producer.produce(self._topic, key=subject, value=value, headers=[("traceparent", TRACE.encode())])

    def send_bytes(self, value: bytes, key: str = "broken") -> None:
        self.producer.produce(self._topic, key=key, value=value, headers=[("x-team", b"billing")])


@pytest.fixture
def client(pipeline: Pipeline) -> Iterator[StockClient]:
    with SchemaRegistryClient({"url": pipeline.settings.schema_registry.url}) as registry:
        yield StockClient(pipeline, registry)


@pytest.fixture
def nightdesk(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(pipeline.settings, monkeypatch, capsys)


def ticket(text: str) -> dict[str, Any]:
    return {
        "status": "open",
        "priority": "normal",
        "customer": "c-1",
        "channel": "email",
        "subject": "help",
        "text": text,
    }


def ends(pipeline: Pipeline, prefix: str) -> dict[str, str]:
    """Event id -> its end, of those that have one."""
    query = f"SELECT event_id, status FROM ends WHERE event_id LIKE '{prefix}%' AND state != 'running'"
    return dict(pipeline.rows(query))


def helpdesk_count(pipeline: Pipeline) -> dict[str, int]:
    desk = pipeline.stack.settings.connections["helpdesk"]
    headers = {"Authorization": f"Bearer {plain(desk.token)}"}
    with urllib.request.urlopen(urllib.request.Request(f"{desk.base_url}/count", headers=headers)) as answer:
        found: dict[str, int] = json.load(answer)
        return found


def test_a_limited_action_waits_for_its_turn_in_every_partition(pipeline: Pipeline, client: StockClient) -> None:
    before = helpdesk_count(pipeline)["distinct"]
    for number in range(9):
        client.send(f"limited-{number}", f"limited-{number}", {"text": "hello"}, kind="message.received")
    client.producer.flush()
    expected = {f"limited-{number}": "completed" for number in range(9)}
    pipeline.wait(lambda: ends(pipeline, "limited-") == expected, "each in its turn")
    assert helpdesk_count(pipeline)["distinct"] - before == 9
    with registered_codec(pipeline.settings) as codec:
        permits = [codec.decode(RateRequest, value) for value in everything(pipeline, "rate-grants")]
    slots = sorted({permit.request_id: permit.slot_at.timestamp() for permit in permits if permit.slot_at}.values())
    assert len(slots) == 9
    # Slots travel as microseconds.
    assert all(later - slot > 4.99999 for slot, later in zip(slots, slots[3:], strict=False)), "three in five seconds"


def test_every_event_of_a_stock_client_finds_an_end_and_is_explained(
    pipeline: Pipeline, client: StockClient, nightdesk: CommandLine
) -> None:
    for number in range(40):
        client.send(f"plain-{number}", f"ticket-{number % 20}", ticket(f"Where is parcel {number}? ¿Dónde está? 📦"))
    client.send("plain-0", "ticket-0", ticket("the same again"))
    client.producer.flush()
    pipeline.wait(lambda: len(ends(pipeline, "plain-")) == 40, "events with an end")

    assert set(ends(pipeline, "plain-").values()) <= {"completed", "escalated", "refused"}
    story = nightdesk("why", "ticket-7", "--output", "json").json()
    assert story["subject"] == "ticket-7"
    assert {case["event_id"] for case in story["cases"]} == {"plain-7", "plain-27"}
    for case in story["cases"]:
        assert case["agent"] == "support-triage"
        assert case["case_id"] == ids.case_id("support-triage", "shop", case["event_id"], "ticket-7")
        assert case["status"] == "completed"
        assert [decision["provider"] for decision in case["decisions"]] == ["anthropic"]
        assert all(outcome["status"] == "done" for outcome in case["outcomes"])
        assert case["cost_microusd"] > 0
    told = nightdesk("why", "plain-7").out
    assert "reply.send" in told
    assert "anthropic" in told
    count = helpdesk_count(pipeline)
    assert count["requests"] == count["distinct"]
    traced = "SELECT kind FROM records WHERE event_id = 'plain-7' AND traceparent LIKE '%4bf92f3577b34da6%'"
    assert sorted(pipeline.rows(traced)) == [("acted",), ("asked",), ("decided",), ("received",)]


def test_an_event_is_one_trace_from_its_producer_to_the_help_desk(pipeline: Pipeline, client: StockClient) -> None:
    _, trace_id, producer_span, _ = TRACE.split("-")
    client.send("traced", "ticket-traced", ticket("Where is it?"))
    client.producer.flush()

    def spans() -> dict[str, Received]:
        """The spans of the event, found from its arrival downwards."""
        found = pipeline.collector.of_trace(trace_id)
        ours = {span.span_id: span for span in found if span.attributes.get("cloudevents.event_id") == "traced"}
        return ours | {span.span_id: span for span in found if span.parent_id in ours}

    expected = {
        "process": "nightdesk-ingest",
        "invoke_agent": "nightdesk-decide",
        "chat": "nightdesk-decide",
        "execute": "nightdesk-act",
        "execute_tool": "nightdesk-act",
    }

    def services() -> dict[str, str]:
        return {span.name.partition(" ")[0]: span.service for span in spans().values()}

    # Each stage sends its spans in its own time.
    pipeline.wait(lambda: services().keys() >= expected.keys(), "the span of each stage")
    assert services() == expected
    assert {span.parent_id for span in spans().values()} - spans().keys() == {producer_span}


def test_the_ledger_in_the_topic_agrees_with_the_audit(
    pipeline: Pipeline, client: StockClient, nightdesk: CommandLine
) -> None:
    for number in range(5):
        client.send(f"money-{number}", f"money-{number}", ticket("How much?"))
    client.producer.flush()
    pipeline.wait(lambda: len(ends(pipeline, "money-")) == 5, "events with an end")
    with registered_codec(pipeline.settings) as codec:
        entries = [codec.decode(BudgetEntry, value) for value in everything(pipeline, "budget")]
    settled = {entry.case_id: entry.amount_microusd for entry in entries if entry.kind == "settle"}
    costs = dict(pipeline.rows("SELECT case_id, cost_microusd FROM cases WHERE event_id LIKE 'money-%'"))
    assert len(costs) == 5
    assert {case_id: settled[case_id] for case_id in costs} == costs
    verified = nightdesk("budget", "verify", "--wait", "60", "--output", "json")
    assert (verified.code, verified.json()["drifts"]) == (0, [])
    assert verified.json()["tokens"] > 0
    [whole, *_] = nightdesk("budget", "show", "support-triage", "--output", "json").json()
    assert whole["spent_microusd"] >= sum(costs.values())


def test_bad_input_goes_to_the_dead_letters_whole_and_stops_nobody(
    pipeline: Pipeline, client: StockClient, nightdesk: CommandLine
) -> None:
    hostile = [b"not avro", b"", b"\x00", b"\x00\x00\x01\x86\x9fabc", b"\x00\x00\x00\x00\x01\xff\xff\xff"]
    for value in hostile:
        client.send_bytes(value)
    client.send("bad-huge", "huge", json.dumps({"text": "x" * 1_100_000}))
    client.send("bad-none", "", ticket("no subject"))
    client.send("bad-json", "ticket-json", "{not json")
    client.send("bad-shape", "ticket-shape", {"status": 7})
    client.send("bad-other", "ticket-other", ticket("hm"), kind="nobody.listens")
    client.send("bad-fine", "ticket-fine", ticket("And this one is fine."))
    client.producer.flush()
    pipeline.wait(lambda: "bad-fine" in ends(pipeline, "bad-"), "the good event behind the bad ones")
    letters = "SELECT count() FROM dead_letters"
    pipeline.wait(lambda: pipeline.rows(letters) == [(len(hostile) + 2,)], "dead letters")

    found = everything(pipeline, "ingest.dlq")
    assert sorted(value for value in found if len(value or b"") < 100 and value in hostile) == sorted(hostile)
    pipeline.wait(lambda: len(ends(pipeline, "bad-")) == 5, "an end for each event that could be read")
    assert ends(pipeline, "bad-")["bad-other"] == "ignored"
    assert ends(pipeline, "bad-")["bad-none"] == "failed", "a dead letter"
    for event_id in ("bad-json", "bad-shape"):
        assert ends(pipeline, "bad-")[event_id] == "rejected"
    # Too large to be read at all: its letter is found by its key, the subject.
    [(message,)] = pipeline.rows("SELECT message FROM dead_letters WHERE subject = 'huge'")
    assert "bytes" in message
    assert "JSON" in nightdesk("why", "bad-json").out
    headers = dict(first_headers(pipeline, "ingest.dlq", b"not avro"))
    assert headers["x-team"] == b"billing"
    assert headers["__connect.errors.topic"] == b"ingest"
    assert b"first byte is 110" in headers["__connect.errors.exception.message"]


def test_workers_that_are_killed_lose_and_double_nothing(pipeline: Pipeline, client: StockClient) -> None:
    before = helpdesk_count(pipeline)
    for number in range(60):
        client.send(f"storm-{number}", f"storm-{number % 12}", ticket(f"Parcel {number}?"))
        if number % 20 == 10:
            client.producer.flush()
            for name in ("ingest", "budget", "decide", "act", "sink"):
                kill(pipeline, name)
    client.producer.flush()
    pipeline.wait(lambda: len(ends(pipeline, "storm-")) == 60, "events with an end")
    after = helpdesk_count(pipeline)
    called = "subject LIKE 'storm-%' AND handler != 'remind'"
    done = pipeline.rows(f"SELECT count(), uniqExact(step_id) FROM steps WHERE {called}")
    assert done[0][0] == done[0][1]
    assert after["distinct"] - before["distinct"] == done[0][0], "each step changed the world once"
    decided = "SELECT count(), uniqExact(case_id) FROM decisions WHERE event_id LIKE 'storm-%'"
    assert pipeline.rows(decided) == [(60, 60)]


def test_a_person_approves_rejects_or_edits_what_waits(
    pipeline: Pipeline, client: StockClient, nightdesk: CommandLine
) -> None:
    for name in ("yes", "no", "less"):
        client.send(f"ask-{name}", f"ask-{name}", ticket("REFUND! It never arrived.") | {"amount": 30})
    client.producer.flush()

    def waiting() -> dict[str, Any]:
        return {one["subject"]: one for one in nightdesk("approvals", "list", "--output", "json").json()}

    pipeline.wait(lambda: waiting().keys() == {"ask-yes", "ask-no", "ask-less"}, "decisions that wait")
    found = waiting()
    assert found["ask-yes"]["parameters"] == {"amount": 20, "reason": "never arrived"}
    assert nightdesk("approvals", "show", found["ask-no"]["decision_id"]).json() == found["ask-no"]
    yes = found["ask-yes"]["decision_id"]
    assert yes[:13] in nightdesk("approvals", "list").out
    assert nightdesk("approvals", "approve", yes[:5]).code == 2
    assert nightdesk("approvals", "approve", yes[:13]).code == 0
    assert nightdesk("approvals", "reject", found["ask-no"]["decision_id"], "--reason", "no receipt").code == 0
    less = json.dumps({"amount": 5, "reason": "half of it"})
    assert nightdesk("approvals", "approve", found["ask-less"]["decision_id"], "--edit", less).code == 0
    expected = {"ask-yes": "completed", "ask-no": "refused", "ask-less": "completed"}
    pipeline.wait(lambda: ends(pipeline, "ask-") == expected, "answers that were obeyed")

    paid = "SELECT subject, JSONExtractFloat(result, 'body', 'amount') FROM steps WHERE handler = 'refund.pay'"
    assert dict(pipeline.rows(f"{paid} AND subject LIKE 'ask-%'")) == {"ask-yes": 20.0, "ask-less": 5.0}
    assert nightdesk("approvals", "approve", yes).code == 3
    assert nightdesk("approvals", "list", "--output", "json").json() == []


def test_a_person_approves_in_a_browser_and_sees_what_was_done(
    pipeline: Pipeline, client: StockClient, tmp_path: Path
) -> None:
    client.send("click", "click-1", ticket("REFUND! It never arrived.") | {"amount": 30})
    client.send_bytes(b"not avro", "click-bad")
    client.producer.flush()

    def waiting() -> list[str]:
        return [one.decision_id for one in waiting_decisions(pipeline.settings) if one.subject == "click-1"]

    pipeline.wait(lambda: len(waiting()) == 1, "a decision that waits")
    [decision_id] = waiting()
    letter = "SELECT dead_letter_id FROM dead_letters WHERE subject = 'click-bad'"
    pipeline.wait(lambda: len(pipeline.rows(letter)) == 1, "a dead letter")
    [(letter_id,)] = pipeline.rows(letter)
    card = f"/approvals/{decision_id}"
    ask = "/ask?sql=SELECT+subject,+status,+reason+FROM+cases+LIMIT+20"
    paths = ("/tonight", "/approvals", card, f"/what-if/{decision_id}", "/dead-letters", f"/dead-letters/{letter_id}")
    with running(pipeline.settings, tmp_path) as console, browsing() as browser:
        with screen(browser, console, "otto") as window:
            for path in (*paths, "/agents", "/agents/support-triage", ask):
                window.check_page(path)
        with screen(browser, console, "ada") as window:
            window.open("/approvals")
            window.page.get_by_role("link", name="click-1").click()
            expect(window.page.get_by_text('"amount": 20')).not_to_have_count(0)
            window.page.get_by_role("button", name="Approve", exact=True).click()
            window.page.wait_for_url(f"**{card}?sent=approve")
            # The page follows without being loaded again.
            expect(window.page.get_by_text("approve by ada (claimed)").first).to_be_visible()
            expect(window.page.locator(".timeline .acted .badge.completed")).to_be_visible()
            assert not window.complaints
    paid = "SELECT JSONExtractFloat(result, 'body', 'amount') FROM steps WHERE handler = 'refund.pay'"
    assert pipeline.rows(f"{paid} AND subject = 'click-1'") == [(20.0,)]


def test_a_paused_agent_does_nothing_until_it_is_resumed(
    pipeline: Pipeline, client: StockClient, nightdesk: CommandLine
) -> None:
    assert nightdesk("pause", "support-triage", "--reason", "stocktaking").code == 0
    time.sleep(2)  # the order is obeyed once it was read, and nobody outside sees when
    before = helpdesk_count(pipeline)
    client.send("paused-1", "paused-1", ticket("Where is my parcel?"))
    client.producer.flush()
    waiting = "SELECT count() FROM records WHERE event_id = 'paused-1' AND kind = 'deferred'"
    pipeline.wait(lambda: pipeline.rows(waiting) == [(1,)], "the order")
    time.sleep(3)
    decided = "SELECT count() FROM records WHERE event_id = 'paused-1' AND kind = 'decided'"
    assert pipeline.rows(decided) == [(0,)], "a paused agent asks nobody"
    assert helpdesk_count(pipeline) == before
    assert nightdesk("resume", "support-triage").code == 0
    pipeline.wait(lambda: ends(pipeline, "paused-") == {"paused-1": "completed"}, "what had waited")
    assert helpdesk_count(pipeline)["distinct"] > before["distinct"]


def test_a_ticket_is_followed_in_the_logs_and_counted_in_the_metrics(pipeline: Pipeline, client: StockClient) -> None:
    client.send("followed", "ticket-followed", ticket("Where is my parcel?"))
    client.producer.flush()
    pipeline.wait(lambda: len(ends(pipeline, "followed")) == 1, "an end")
    children = {child.part.name: child for child in pipeline.stages.children}
    for stage, kind in (("decide", "decided"), ("act", "acted")):
        [line] = [line for line in children[stage].log.read_text().splitlines() if "ticket-followed" in line]
        assert f" {kind} " in line
        assert TRACE.split("-")[1] in line
        assert "parcel" not in line
    served = {
        name: metrics_at(child.part.where) for name, child in children.items() if child.part.where.endswith("/metrics")
    }
    known = {family.name for family in catalogue()}
    for stage, families in served.items():
        assert {name for name in families if name.startswith("nightdesk_")} <= known, stage
    assert served["ingest"]["nightdesk_events_total"] >= 1
    assert served["decide"]["nightdesk_decisions_total"] >= 1
    assert served["decide"]["nightdesk_record_seconds"] >= 1
    assert served["act"]["nightdesk_cases_ended_total"] >= 1
    assert "nightdesk_lag_records" in served["act"]


def metrics_at(url: str) -> dict[str, float]:
    """The sum of each family's samples; of a histogram its count."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: sum(
            sample.value for sample in family.samples if not sample.name.endswith(("_bucket", "_sum"))
        )
        for family in families
    }


def kill(pipeline: Pipeline, name: str) -> None:
    child = next(child for child in pipeline.stages.children if child.part.name == name)
    if child.process is not None:
        child.process.kill()


def everything(pipeline: Pipeline, topic: str) -> list[bytes]:
    """Every value of a topic."""
    return [message.value() or b"" for message in messages(pipeline, topic)]


def first_headers(pipeline: Pipeline, topic: str, value: bytes) -> list[tuple[str, bytes]]:
    return next(list(message.headers()) for message in messages(pipeline, topic) if message.value() == value)


def messages(pipeline: Pipeline, topic: str) -> Iterator[Any]:
    name = pipeline.settings.kafka.topic_prefix + topic
    consumer = Consumer(
        {**pipeline.settings.kafka.client_config(), "group.id": "test", "auto.offset.reset": "earliest"}
    )
    try:
        partitions = [TopicPartition(name, number, 0) for number in consumer.list_topics(name).topics[name].partitions]
        left = sum(consumer.get_watermark_offsets(partition)[1] for partition in partitions)
        consumer.assign(partitions)
        while left:
            message = consumer.poll(10.0)
            assert message is not None, f"{left} records of {name} did not come"
            assert message.error() is None
            left -= 1
            yield message
    finally:
        consumer.close()
