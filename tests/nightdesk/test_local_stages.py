"""Each process of the local stack has its metrics on a port that people can write down."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nightdesk.local.parts import LOOPBACK
from nightdesk.local.stack import LocalStack
from nightdesk.local.stages import PROCESSES, stage_parts, stage_ports
from nightdesk.messaging.failures import Failure
from nightdesk.settings import load_settings
from nightdesk.settings_sections import LocalSettings


def free_run() -> int:
    """The first of as many free ports in a row as there are processes."""
    for first in range(20000, 30000, len(PROCESSES)):
        try:
            stage_ports(first)
        except Failure:
            continue
        return first
    raise AssertionError("no run of free ports")


def test_the_sink_has_the_first_port_and_each_stage_the_next() -> None:
    first = free_run()
    assert stage_ports(first) == {
        "sink": first,
        "ingest": first + 1,
        "budget": first + 2,
        "decide": first + 3,
        "act": first + 4,
        "timers": first + 5,
        "notify": first + 6,
    }


def test_each_part_is_told_its_port_and_says_it(tmp_path: Path) -> None:
    first = free_run()
    local = LocalSettings(metrics_port=first)
    parts = stage_parts(LocalStack(load_settings().model_copy(update={"home": tmp_path, "local": local})))
    assert {part.name for part in parts} == set(PROCESSES)
    for part in parts:
        port = first + PROCESSES.index(part.name)
        assert part.where == f"http://{LOOPBACK}:{port}/metrics"
        assert part.environment["NIGHTDESK_WORKER__METRICS_PORT"] == str(port)


def test_a_port_that_is_in_use_is_named_with_its_setting() -> None:
    first = free_run()
    with socket.socket() as taken:
        taken.bind((LOOPBACK, first + 3))
        taken.listen()
        with pytest.raises(Failure, match=f"port {first + 3} is in use") as raised:
            stage_ports(first)
    assert "NIGHTDESK_LOCAL__METRICS_PORT" in str(raised.value)
