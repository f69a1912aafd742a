"""Real stage processes and what they say of themselves: who lives, whose clock is off, who has whose instance id."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from nightdesk.local.child import dying_with_this_process
from nightdesk.local.parts import python_module
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations.workers import read_workers
from nightdesk.settings import Settings
from nightdesk.streams.api import system_clock
from nightdesk.streams.identity import Identity
from nightdesk.streams.runtime.process.fail_stop import ExitCode
from nightdesk.streams.twins import end_if_alive
from nightdesk.streams.worker_reports import send
from tests.nightdesk.command_line import CommandLine

PATIENCE_S = 60.0


@pytest.fixture
def environment(topics: Settings, tmp_path: Path) -> dict[str, str]:
    return os.environ | {
        "NIGHTDESK_HOME": str(tmp_path),
        "NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS": topics.kafka.bootstrap_servers,
        "NIGHTDESK_KAFKA__TOPIC_PREFIX": topics.kafka.topic_prefix,
        "NIGHTDESK_SCHEMA_REGISTRY__URL": topics.schema_registry.url,
        "NIGHTDESK_WORKER__INSTANCE_ID": "timers-0",
        "NIGHTDESK_WORKER__SESSION_TIMEOUT_S": "10",
        "NIGHTDESK_LOG__LEVEL": "warning",
    }


@contextmanager
def worker(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = dying_with_this_process(python_module("nightdesk", "worker", "timers"))
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def rows(nightdesk: CommandLine) -> dict[str, dict[str, Any]]:
    found: list[dict[str, Any]] = nightdesk("status", "-o", "json").json()["workers"]
    return {f"{row['worker']} {row['state']}": row for row in found}


def test_a_worker_says_how_it_is_and_that_it_stopped(
    nightdesk: CommandLine, topics: Settings, environment: dict[str, str]
) -> None:
    assert rows(nightdesk) == {}
    with worker(environment) as process:
        until(lambda: "timers/timers-0 ready" in rows(nightdesk))
        row = rows(nightdesk)["timers/timers-0 ready"]
        assert row["pid"] == process.pid
        until(lambda: read_workers(topics)[0].report.clock_offset_ms is not None)
        [found] = read_workers(topics)
        assert abs(found.report.clock_offset_ms or 0) < 1000, "one machine has one clock"
        assert found.report.orders_confirmed_at is not None
        process.terminate()
        assert process.wait(PATIENCE_S) == ExitCode.DRAINED
    assert "timers/timers-0 stopped" in rows(nightdesk)


def test_a_second_process_under_one_id_ends_however_often_it_is_started(
    nightdesk: CommandLine, environment: dict[str, str]
) -> None:
    with worker(environment) as first:
        until(lambda: "timers/timers-0 ready" in rows(nightdesk))
        for _ in range(2):
            with worker(environment) as second:
                assert second.wait(PATIENCE_S) == ExitCode.TWIN
                assert second.stderr is not None
                told = second.stderr.read()
            assert f"another timers worker runs as timers-0: process {first.pid} on" in told
            assert "NIGHTDESK_WORKER__INSTANCE_ID" in told
        assert first.poll() is None
        found = rows(nightdesk)
        assert found["timers/timers-0 ready"]["pid"] == first.pid
        assert found["timers/timers-0 refused"]["pid"] == second.pid
        assert re.search(r"timers/timers-0 +\S+ +\d+ +refused", nightdesk("status").out)


def test_reports_that_never_pause_keep_nobody_from_reading_them(topics: Settings) -> None:
    """A fetch that always finds one more never says that the end is reached."""
    others = [Identity("act", f"act-{number}", pid_space="another") for number in range(50)]
    me = Identity("timers", "timers-0")
    over = threading.Event()
    producer = Producer({**topics.kafka.client_config(), "linger.ms": 0})
    with registered_codec(topics) as codec:
        told = [(each.key, codec.encode(each.report("ready", system_clock()))) for each in others]

        def report() -> None:
            for key, value in itertools.cycle(told):
                send(producer, topics.kafka.topic_prefix, key, value)
                producer.poll(0)
                if over.wait(0.01):
                    return

        reporting = threading.Thread(target=report)
        reporting.start()
        try:
            until(lambda: len(read_workers(topics)) == len(others))
            end_if_alive(me, topics.kafka.client_config(), topics.kafka.topic_prefix, codec)
        finally:
            over.set()
            reporting.join()
            producer.flush(10)


def test_who_was_killed_is_no_twin(nightdesk: CommandLine, environment: dict[str, str]) -> None:
    with worker(environment) as first:
        until(lambda: "timers/timers-0 ready" in rows(nightdesk))
        first.kill()
    with worker(environment) as second:
        until(lambda: rows(nightdesk).get("timers/timers-0 ready", {}).get("pid") == second.pid)


def test_who_was_killed_on_another_machine_is_waited_for_and_is_no_twin(
    nightdesk: CommandLine, topics: Settings, environment: dict[str, str]
) -> None:
    elsewhere = Identity("timers", "timers-0", host="elsewhere", pid=1, pid_space="another")
    with registered_codec(topics) as codec:
        value = codec.encode(elsewhere.report("ready", system_clock()))
    producer = Producer(topics.kafka.client_config())
    send(producer, topics.kafka.topic_prefix, elsewhere.key, value)
    assert producer.flush(30) == 0
    with worker(environment) as process:
        until(lambda: rows(nightdesk).get("timers/timers-0 ready", {}).get("pid") == process.pid)
