"""`stop-all --wait`, `pause --wait` and `stop verify` with a broker and an audit: their output and their exit codes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Producer, TopicPartition

from nightdesk.exit_codes import EXIT_CODES
from nightdesk.messaging.failures import FailureKind
from nightdesk.messaging.log_offsets import Bounds, Place
from nightdesk.messaging.naming import group_id, member_id
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.operations.orders import charter_orders, give_orders
from nightdesk.operations.stage_members import stage_members
from nightdesk.operations.stage_status import stage_status, topic_bounds
from nightdesk.operations.stops import active_stops
from nightdesk.schemas import audit_records
from nightdesk.schemas.records import CallFate, LogPlace, ObeyedOrder, StepOutcome
from nightdesk.settings import Settings
from nightdesk.streams.identity import Identity
from nightdesk.streams.worker_reports import send
from tests.nightdesk.command_line import CommandLine
from tests.processors.examples import case, compiled
from tests.sinks.records import land, of_case, question, record
from tests.streams.stages.stage_harness import TRACE
from tests.streams.stages.world import decision

Report = Callable[..., None]


@pytest.fixture
def desk(topics: Settings) -> Settings:
    give_orders(topics, charter_orders([compiled().charter]))
    return topics


@pytest.fixture
def report(desk: Settings) -> Report:
    """A worker writes a report."""

    def say(stage: str, **fields: Any) -> None:
        told = Identity(stage, "0").report("ready", datetime.now(UTC))
        told = told.model_copy(update={"orders_confirmed_within_ms": 5000, **fields})
        with registered_codec(desk) as codec:
            producer = Producer(desk.kafka.client_config())
            send(producer, desk.kafka.topic_prefix, told.key, codec.encode(told))
            assert producer.flush(30) == 0

    return say


def sink_has_landed_all(settings: Settings) -> None:
    """As the broker sees it: the sink's group has committed the end of the audit."""
    kafka = settings.kafka
    ends = Counter(message.partition() for message in read_topic(kafka, f"{kafka.topic_prefix}audit"))
    consumer = Consumer({**kafka.client_config(), "group.id": group_id(kafka.topic_prefix, "sink")})
    places = [TopicPartition(f"{kafka.topic_prefix}audit", number or 0, end) for number, end in ends.items()]
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()


def _obeyed(settings: Settings, agent: str, *fates: str) -> dict[str, Any]:
    standing = active_stops(settings)[agent]
    calls = tuple(
        CallFate.model_validate({"call_id": f"c{n}", "agent": "desk", "fate": f}) for n, f in enumerate(fates)
    )
    places = (LogPlace(topic="act", partition=2, offset=41),)
    return {
        "orders": (
            ObeyedOrder(
                agent=agent,
                kind=standing.order.kind,  # type: ignore[arg-type]  # one that stops
                offset=standing.offset,
                obeyed_at=datetime.now(UTC),
                positions=places,
                calls=calls,
            ),
        )
    }


@pytest.mark.usefixtures("desk")
def test_without_a_worker_there_is_nobody_to_wait_for(nightdesk: CommandLine) -> None:
    ended = nightdesk("stop-all", "--wait", "--reason", "night")
    assert ended.code == 0
    assert "stop_all: every agent, with the broker since 20" in ended.out
    assert "no worker of decide or act is running" in ended.out


def test_a_worker_that_has_not_read_the_order_is_named_with_its_bound(nightdesk: CommandLine, report: Report) -> None:
    report("act")
    ended = nightdesk("pause", "desk", "--wait", "--timeout", "0.1", "-o", "json")
    assert ended.code == EXIT_CODES[FailureKind.NOT_READY]
    assert "not confirmed: act/0 (reports, and has not read the order)" in ended.err
    assert "Every worker's own bound prevents calls after 20" in ended.err
    document = ended.json()
    assert (document["order"]["agent"], document["order"]["kind"]) == ("desk", "pause")
    assert document["confirmed"] is False
    assert [(each["worker"], each["status"]) for each in document["workers"]] == [("act/0", "waiting")]


@pytest.mark.usefixtures("client")
def test_who_obeys_from_where_nothing_acted_and_what_became_of_each_call(
    nightdesk: CommandLine, desk: Settings, report: Report
) -> None:
    assert nightdesk("pause", "desk").code == 0
    sink_has_landed_all(desk)
    report("act", **_obeyed(desk, "desk", "done", "cancelled", "unknown"))
    report("decide", **_obeyed(desk, "desk"))
    ended = nightdesk("stop", "verify", "desk", "--timeout", "1", "-o", "json")
    assert (ended.code, ended.err) == (0, "")
    document = ended.json()
    assert (document["confirmed"], document["late"]) == (True, [])
    [act] = [each for each in document["workers"] if each["worker"] == "act/0"]
    assert act["positions"] == [{"topic": "act", "partition": 2, "offset": 41}]
    assert [call["fate"] for call in act["calls"]] == ["done", "cancelled", "unknown"]
    told = nightdesk("stop", "verify", "desk").out
    for words in ("no action from", "41", "running when the order was read", "cancelled", "unknown"):
        assert words in told
    report("act", **_obeyed(desk, "desk", "open"))
    ended = nightdesk("stop", "verify", "desk", "--timeout", "0.1")
    assert (ended.code, "1 running calls have not finished" in ended.err) == (
        EXIT_CODES[FailureKind.NOT_READY],
        True,
    )


@pytest.mark.usefixtures("client")
def test_an_audit_that_is_behind_proves_nothing(nightdesk: CommandLine, desk: Settings) -> None:
    assert nightdesk("stop-all").code == 0
    ended = nightdesk("stop", "verify", "--timeout", "0.1")
    assert (ended.code, "the sink is 1 records behind" in ended.err) == (EXIT_CODES[FailureKind.NOT_READY], True)
    sink_has_landed_all(desk)
    assert nightdesk("stop", "verify").code == 0


@pytest.mark.usefixtures("client")
def test_what_the_audit_gets_meanwhile_is_not_waited_for(
    nightdesk: CommandLine, desk: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that keep arriving keep adding to the audit, so the sink never reaches its end."""
    assert nightdesk("stop-all").code == 0
    sink_has_landed_all(desk)

    def and_then_more_comes(kafka: KafkaSettings, topic: str) -> Mapping[Place, Bounds]:
        bounds = topic_bounds(kafka, topic)
        producer = Producer(kafka.client_config())
        for place in bounds:
            producer.produce(place[0], b"more", b"", partition=place[1])
        assert producer.flush(30) == 0
        return bounds

    monkeypatch.setattr("nightdesk.operations.stop_checks.topic_bounds", and_then_more_comes)
    ended = nightdesk("stop", "verify", "--timeout", "0.1")
    assert (ended.code, ended.err) == (0, "")
    assert stage_status(desk.kafka)["sink"].lag == desk.kafka.partitions


@pytest.mark.usefixtures("client")
def test_where_nobody_is_stopped_there_is_nothing_to_verify(nightdesk: CommandLine, desk: Settings) -> None:
    ended = nightdesk("stop", "verify")
    assert (ended.code, "no order to stop is in force for any agent" in ended.err) == (
        EXIT_CODES[FailureKind.NOT_FOUND],
        True,
    )
    assert nightdesk("stop-all").code == 0
    sink_has_landed_all(desk)
    assert nightdesk("stop", "verify", "desk", "--timeout", "1").code == 0, "the order to every agent is desk's too"
    assert nightdesk("resume", "*").code == 0
    assert nightdesk("stop", "verify", "desk").code == EXIT_CODES[FailureKind.NOT_FOUND]


def test_an_escalation_after_a_pause_is_no_failure_and_after_a_stop_of_all_it_is(
    nightdesk: CommandLine, desk: Settings, client: Client
) -> None:
    assert nightdesk("pause", "desk").code == 0
    began_at = active_stops(desk)["desk"].at + timedelta(seconds=60)
    acted = decision(case(compiled()), "escalate", "escalate", reason="look")
    outcome = StepOutcome(step_id="s-1", position=0, handler="page", status="done", started_at=began_at)
    land(
        client,
        audit_records.decided(acted, "running", TRACE),
        audit_records.acted(acted, (outcome,), "escalated", "", TRACE, began_at),
    )
    sink_has_landed_all(desk)
    assert nightdesk("stop", "verify", "desk", "--timeout", "1").code == 0
    assert nightdesk("stop-all").code == 0
    sink_has_landed_all(desk)
    assert nightdesk("stop", "verify", "--timeout", "1").code == EXIT_CODES[FailureKind.ACTED_AFTER_STOP]


@pytest.mark.parametrize(
    ("after_s", "attempts", "code"),
    [(-1, 1, 0), (4, 1, 0), (6, 1, EXIT_CODES[FailureKind.ACTED_AFTER_STOP]), (6, 0, 0)],
    ids=["before the order", "within its bound", "after it", "answered from an earlier call"],
)
def test_a_later_action_fails_the_verification(
    nightdesk: CommandLine,
    desk: Settings,
    client: Client,
    after_s: float,
    attempts: int,
    code: int,
) -> None:
    assert nightdesk("stop-all").code == 0
    began_at = active_stops(desk)["*"].at + timedelta(seconds=after_s)
    acted = decision(case(compiled()), text="tomorrow")
    outcome = StepOutcome(
        step_id="s-1", position=0, handler="send", status="done", attempts=attempts, started_at=began_at
    )
    land(client, audit_records.acted(acted, (outcome,), "completed", "", TRACE, began_at))
    sink_has_landed_all(desk)
    ended = nightdesk("stop", "verify", "--timeout", "1")
    assert ended.code == code
    assert ("1 calls started after the order" in ended.err) == bool(code)
    assert ("s-1" in ended.out) == bool(code)


@pytest.mark.parametrize(
    ("sent_after_s", "recorded_after_s", "stops_all", "late"),
    [(-1, 9, True, 0), (4, 9, True, 0), (6, 9, True, 1), (6, 9, False, 1), (None, 9, True, 0)],
    ids=["sent before, its reply used later", "within the bound", "after it", "after a pause", "not sent"],
)
def test_a_later_question_to_a_model_fails_the_verification(
    nightdesk: CommandLine,
    desk: Settings,
    client: Client,
    sent_after_s: float | None,
    recorded_after_s: float,
    stops_all: bool,
    late: int,
) -> None:
    assert nightdesk(*(["stop-all"] if stops_all else ["pause", "desk"])).code == 0
    at = active_stops(desk)["*" if stops_all else "desk"].at
    sent_at = None if sent_after_s is None else at + timedelta(seconds=sent_after_s)
    asked = record("asked", 0, question(sent_at=sent_at), **{**of_case(), "agent": "desk"})
    land(client, asked.model_copy(update={"time": at + timedelta(seconds=recorded_after_s)}))
    sink_has_landed_all(desk)
    ended = nightdesk("stop", "verify", "desk", "--timeout", "1", "-o", "json")
    assert ended.code == (EXIT_CODES[FailureKind.ACTED_AFTER_STOP] if late else 0)
    assert [call["handler"] for call in ended.json()["late"]] == ["model"] * late


async def test_a_static_member_is_known_by_its_instance_id(topics: Settings) -> None:
    """The names of the members are what the workers' consumer, aiokafka, tells the broker."""
    kafka = topics.kafka
    group = group_id(kafka.topic_prefix, "act")
    consumer = AIOKafkaConsumer(
        f"{kafka.topic_prefix}act",
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=group,
        group_instance_id=member_id(group, "act-0"),
        session_timeout_ms=6000,
    )
    await consumer.start()
    try:
        while not consumer.assignment():  # noqa: ASYNC110 - aiokafka has no event for it
            await asyncio.sleep(0.05)
        found = await asyncio.to_thread(stage_members, kafka, ["act", "decide"])
    finally:
        await consumer.stop()
    assert (found["act"].has("act-0"), found["act"].has("act-1")) == (True, False)
    assert found["act"].are_all_among(["act-0", "act-1"])
    assert not found["act"].are_all_among(["act-1"])
    assert not found["decide"].are_all_among(["decide-0"]), "a group without members has no partitions"
