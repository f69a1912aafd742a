"""What each client of the broker is told, above that which its settings say."""

from typing import Any

import pytest

from nightdesk.messaging import clients
from nightdesk.messaging.clients import new_group_member, new_producer, new_reader

BROKER = {"bootstrap.servers": "127.0.0.1:1"}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The configurations of the clients that were made."""
    told: list[dict[str, Any]] = []

    def make(config: dict[str, Any]) -> dict[str, Any]:
        told.append(config)
        return config

    for kind in ("Consumer", "Producer"):
        monkeypatch.setattr(clients, kind, make)
    return told


def test_a_reader_commits_nothing_and_reads_committed_records_from_the_beginning(told: list[dict[str, Any]]) -> None:
    assert new_reader(BROKER, "nightdesk-reader", {"client.id": "mine"}) is not None
    [config] = told
    assert config == {
        **BROKER,
        "group.id": "nightdesk-reader",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "fetch.wait.max.ms": 100,
        "client.id": "mine",
    }


def test_a_member_is_a_reader_that_keeps_its_place_in_the_group(told: list[dict[str, Any]]) -> None:
    assert new_group_member(BROKER, "sink", "sink-0", 30) is not None
    assert new_group_member(BROKER, "sink", "sink-0", 30, {"fetch.wait.max.ms": 5}) is not None
    new_reader(BROKER, "sink")
    plain, own, reader = told
    assert plain == {
        **reader,
        "group.instance.id": "sink-0",
        "session.timeout.ms": 30_000,
        "enable.auto.offset.store": False,
    }
    assert own == {**plain, "fetch.wait.max.ms": 5}


def test_a_producer_doubles_nothing_and_chooses_our_partitions(told: list[dict[str, Any]]) -> None:
    assert new_producer(BROKER, 2.5, {"linger.ms": 1}) is not None
    [config] = told
    assert (config["enable.idempotence"], config["partitioner"]) == (True, "murmur2_random")
    assert (config["delivery.timeout.ms"], config["linger.ms"]) == (2500, 1)
