"""`nightdesk pause`, `resume`, `stop-all`: what is ordered, who is told, and where it is kept."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from nightdesk.control import charter_orders, give_orders
from nightdesk.reading import read_topic
from nightdesk.registered_codec import registered_codec
from nightdesk.settings import Settings
from schemas.records import AuditRecord
from tests.nightdesk.command_line import CommandLine
from tests.processors.examples import compiled


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
    assert "\ndesk acts on nothing since 20" in told
    assert " UTC: pause by " in told
    assert " (stocktaking)\n" in told
    assert "\nevery agent acts on nothing since 20" in told
    assert nightdesk("resume", "*").code == 0
    assert halted(nightdesk) == [("desk", "pause", "stocktaking")]
    assert nightdesk("resume", "desk").code == 0
    assert halted(nightdesk) == []


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
