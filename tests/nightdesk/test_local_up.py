"""`nightdesk up` as a person starts and stops it, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from nightdesk.local.stack import FREE_PORTS
from nightdesk.local.stages import PROCESSES
from nightdesk.running_stack import running_stack
from nightdesk.settings import load_settings

PORTS = {f"NIGHTDESK_LOCAL__{name.upper()}": "0" for name in type(FREE_PORTS).model_fields if name.endswith("_port")}
PORTS["NIGHTDESK_CONSOLE__PORT"] = "0"
# Kafka, registry, ClickHouse, help desk, the stages and the sink, the console.
CHILDREN = 4 + len(PROCESSES) + 1


@dataclass(frozen=True, slots=True)
class Up:
    """A running `nightdesk up --no-demo`."""

    process: subprocess.Popen[str]
    home: Path

    @property
    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture(scope="module")
def up(stack_home: Path) -> Iterator[Up]:
    """One for all tests here, because everything takes long to start. The last test stops it."""
    cache = load_settings().local.cache or Path(".nightdesk") / "cache"
    command = [sys.executable, "-m", "nightdesk", "up", "--no-demo"]
    with tempfile.TemporaryDirectory(prefix="up-", dir=stack_home) as home:
        environment = os.environ | PORTS | {"NIGHTDESK_HOME": home, "NIGHTDESK_LOCAL__CACHE": str(cache)}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert any("Everything runs" in line for line in process.stdout), "it ended by itself"
            yield Up(process, Path(home))
            if process.poll() is None:
                process.terminate()
                process.communicate()


def test_nothing_of_it_listens_beyond_this_machine(up: Up) -> None:
    assert running_stack(up.home) is not None
    sockets = [socket for child in up.children for socket in child.net_connections("inet")]
    listening = {socket.laddr for socket in sockets if socket.status == psutil.CONN_LISTEN}
    assert len(listening) >= 12, "kafka twice, registry twice, clickhouse, helpdesk, the stages, the sink, the console"
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_ctrl_c_stops_every_child_and_is_no_failure(up: Up) -> None:
    children = up.children
    up.process.send_signal(signal.SIGINT)
    said, _ = up.process.communicate()
    assert up.process.returncode == 0
    assert said.endswith("stopped\n")
    assert len(children) == CHILDREN
    assert not [child for child in children if child.is_running()]
    assert running_stack(up.home) is None
