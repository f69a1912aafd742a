"""`nightdesk pause`, `resume`, `stop-all`: the order, who is told, and where it is stored."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer

from nightdesk.messaging import changelog
from nightdesk.messaging.naming import group_id
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.operations.orders import charter_orders, give_orders
from nightdesk.schemas.records import AuditRecord
from nightdesk.settings import Settings
from nightdesk.streams.api.tables import encode
from nightdesk.streams.stages.halted import HaltedDecision
from tests.nightdesk.command_line import CommandLine
from tests.processors.examples import compiled
from tests.streams.stages.stage_harness import TRACE


@pytest.fixture
def desk(topics: Settings) -> Settings:
    """A charter of the agent `desk` is applied."""
    give_orders(topics, charter_orders([compiled().charter]))
    return topics


def halted(nightdesk: CommandLine) -> list[tuple[str, str, str]]:
    orders = nightdesk("status", "-o", "json").json()["halted"]
    return [(order["agent"], order["kind"], order["reason"]) for order in orders]


@pytest.mark.usefixtures("desk")
def test_who_is_paused_by_whom_and_why(nightdesk: CommandLine) -> None:
    assert halted(nightdesk) == []
    assert nightdesk("pause", "desk", "--reason", "stocktaking").code == 0
    assert nightdesk("stop-all").code == 0
    assert sorted(halted(nightdesk)) == [("*", "stop_all", ""), ("desk", "pause", "stocktaking")]
    told = nightdesk("status").out
    assert "\ndesk acts on nothing but escalations since 20" in told
    assert " UTC: pause by " in told
    assert " (stocktaking)\n" in told
    assert "\nevery agent acts on nothing since 20" in told
    assert nightdesk("resume", "*").code == 0
    assert halted(nightdesk) == [("desk", "pause", "stocktaking")]
    assert nightdesk("resume", "desk").code == 0
    assert halted(nightdesk) == []


def test_a_stop_of_all_and_the_status_count_what_is_held_back(nightdesk: CommandLine, desk: Settings) -> None:
    assert "Now no decision waits" in nightdesk("stop-all").out
    since = datetime(2026, 11, 28, 3, tzinfo=UTC)
    topic = f"{group_id(desk.kafka.topic_prefix, 'act')}-halted-changelog"
    producer = Producer(desk.kafka.client_config())
    for number in range(3):
        halted = HaltedDecision(
            agent="desk",
            escalates=number == 0,
            came_at=since.timestamp(),
            since=since.timestamp() + number,
            reason="night",
            traceparent=TRACE,
            decision=b"",
        )
        value, _ = changelog.encode(changelog.Entry(1, 0.0, encode(halted)))
        producer.produce(topic, value, str(number))
    assert producer.flush(30) == 0
    counted = {"agent": "desk", "decisions": 3, "escalations": 1, "since": "2026-11-28 03:00:00+00:00"}
    assert nightdesk("stop-all", "-o", "json").json()["held_back"] == [counted]
    assert nightdesk("status", "-o", "json").json()["held_back"] == [counted]
    words = "3 decisions wait for the end of an order, the oldest since 2026-11-28 03:00:00 UTC; 1 of them"
    assert words in nightdesk("stop-all").out
    assert words in nightdesk("stop-all", "--wait").out
    assert words in nightdesk("status").out


def test_each_order_is_in_the_audit(nightdesk: CommandLine, desk: Settings) -> None:
    nightdesk("pause", "desk", "--reason", "stocktaking")
    with registered_codec(desk) as codec:
        values = [message.value() for message in read_topic(desk.kafka, f"{desk.kafka.topic_prefix}audit")]
        [record] = [codec.decode(AuditRecord, value) for value in values]
    assert (record.kind, record.agent, record.case_id, record.reason) == ("control", "desk", None, "stocktaking")


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_misspelt_agent_is_an_error_that_names_the_right_one(
    nightdesk: CommandLine, desk: Settings, command: str
) -> None:
    ended = nightdesk(command, "dsek")
    assert (ended.code, ended.out) == (3, "")
    assert "there is no agent dsek, so no order was given" in ended.err
    assert "Known are desk" in ended.err
    assert halted(nightdesk) == []


@pytest.mark.usefixtures("topics")
def test_before_any_charter_there_is_nobody_to_pause_but_everybody_can_be(nightdesk: CommandLine) -> None:
    assert "Apply a charter" in nightdesk("pause", "desk").err
    assert nightdesk("stop-all").code == 0
    assert halted(nightdesk) == [("*", "stop_all", "")]


def test_an_order_that_nobody_can_read_hides_no_other(nightdesk: CommandLine, desk: Settings) -> None:
    producer = Producer(desk.kafka.client_config())
    producer.produce(f"{desk.kafka.topic_prefix}control", b"no order", "desk")
    assert producer.flush(30) == 0
    assert nightdesk("pause", "desk").code == 0
    assert halted(nightdesk) == [("desk", "pause", "")]
