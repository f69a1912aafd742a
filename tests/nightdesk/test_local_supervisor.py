"""The supervisor with real child processes: small Python programs stand for Kafka and friends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from nightdesk.exits import ExitCode, Failure
from nightdesk.local.parts import Part, claim_port
from nightdesk.local.supervisor import RestartPolicy, Supervisor

STAY = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {STAY}"


class Notes:
    """A report that keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def download(self, name: str, size_bytes: int) -> contextlib.AbstractContextManager[Callable[[int], None]]:
        raise AssertionError(f"nothing is downloaded here: {name}, {size_bytes}")


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def supervisor(tmp_path: Path, notes: Notes) -> Iterator[Supervisor]:
    policy = RestartPolicy(most_deaths_a_minute=2, first_pause_s=0.01)
    with Supervisor(tmp_path / "logs", dict(os.environ), notes, policy) as found:
        yield found


def part(name: str, program: str, log: Path, wave: int = 0, grace_s: float = 10.0) -> Part:
    """Ready once the program has printed `up`."""
    return Part(
        name=name,
        where="here",
        command=(sys.executable, "-c", program),
        is_ready=lambda: "up" in (log / "logs" / f"{name}.log").read_text(),
        wave=wave,
        grace_s=grace_s,
    )


def pid(supervisor: Supervisor, index: int = 0) -> int:
    process = supervisor.children[index].process
    assert process is not None
    return process.pid


def is_gone(process_id: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has batch processes")
def test_a_child_is_as_nice_as_its_part_and_interrupts_nobody(tmp_path: Path, supervisor: Supervisor) -> None:
    supervisor.start(replace(part("calm", STAY, tmp_path), niceness=7))
    child = pid(supervisor)
    assert os.getpriority(os.PRIO_PROCESS, child) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 7)
    assert os.sched_getscheduler(child) == os.SCHED_BATCH


def test_stop_leaves_nothing_even_of_a_stubborn_child(tmp_path: Path, supervisor: Supervisor) -> None:
    supervisor.start(part("calm", STAY, tmp_path), part("stubborn", STUBBORN, tmp_path, grace_s=0.5))
    started = [pid(supervisor, 0), pid(supervisor, 1)]
    supervisor.stop()
    assert all(is_gone(one) for one in started)


def test_a_dead_child_is_said_and_started_again(tmp_path: Path, supervisor: Supervisor, notes: Notes) -> None:
    supervisor.start(part("mortal", STAY, tmp_path))
    first = pid(supervisor)
    os.kill(first, signal.SIGKILL)
    supervisor.wait(lambda: pid(supervisor) != first, poll_s=0.01)
    assert not is_gone(pid(supervisor))
    assert [line for line in notes.lines if "SIGKILL" in line]
    assert "mortal started again" in notes.lines


def test_a_child_that_dies_again_and_again_is_given_up_with_its_log(tmp_path: Path, supervisor: Supervisor) -> None:
    supervisor.start(part("doomed", "print('up', 'last words'); import sys; sys.exit(3)", tmp_path))
    with pytest.raises(Failure, match=r"(?s)status 3, 3 times within a minute.*last words"):
        supervisor.wait(lambda: False, poll_s=0.01)


def test_a_child_that_never_gets_ready_fails_the_start(tmp_path: Path, supervisor: Supervisor) -> None:
    with pytest.raises(Failure, match=r"(?s)status 1.*cannot open the shop") as caught:
        supervisor.start(part("broken", "raise SystemExit('cannot open the shop')", tmp_path))
    assert caught.value.code is ExitCode.NOT_READY


def test_stages_stop_before_what_they_talk_to(tmp_path: Path, supervisor: Supervisor) -> None:
    order = tmp_path / "order"
    say = "import signal, sys, time\ndef stop(*_):\n    open({!r}, 'a').write({!r}); sys.exit()\n"
    program = say + "signal.signal(signal.SIGTERM, stop); print('up', flush=True); time.sleep(600)"
    supervisor.start(part("broker", program.format(str(order), "broker;"), tmp_path))
    supervisor.start(part("stage", program.format(str(order), "stage;"), tmp_path, wave=1))
    supervisor.stop()
    assert order.read_text() == "stage;broker;"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_no_orphan_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    program = f"""
import os, pathlib, sys, time
from nightdesk.local.parts import Part
from nightdesk.local.progress import Silent
from nightdesk.local.supervisor import Supervisor
supervisor = Supervisor(pathlib.Path({str(tmp_path)!r}), dict(os.environ), Silent())
supervisor.start(Part("child", "here", (sys.executable, "-c", {STAY!r})))
print(supervisor.children[0].process.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not is_gone(child)
        parent.kill()
    deadline = time.monotonic() + 30
    while not is_gone(child):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.01)


def test_a_port_in_use_names_the_variable_to_change() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failure, match=rf"port {port} is in use.*NIGHTDESK_LOCAL__KAFKA_PORT"):
            claim_port(port, "NIGHTDESK_LOCAL__KAFKA_PORT")
