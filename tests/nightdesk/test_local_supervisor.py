"""The supervisor with real child processes: small Python programs stand for Kafka and the others."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nightdesk.local.parts import Part, answers_http
from nightdesk.local.ports import claim_port
from nightdesk.local.supervisor import RestartPolicy, Supervisor
from nightdesk.messaging.failures import Failure, FailureKind
from tests.orphans import is_gone, orphans

STAY = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {STAY}"


class Notes:
    """Stores what was reported."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def show(self, line: str) -> None:
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


# Linux's; other systems begin higher.
FIRST_OF_OUTGOING_CONNECTIONS = 32_768


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
    assert caught.value.kind is FailureKind.NOT_READY


def test_stages_stop_before_what_they_talk_to(tmp_path: Path, supervisor: Supervisor) -> None:
    order = tmp_path / "order"
    show = "import signal, sys, time\ndef stop(*_):\n    open({!r}, 'a').write({!r}); sys.exit()\n"
    program = show + "signal.signal(signal.SIGTERM, stop); print('up', flush=True); time.sleep(600)"
    supervisor.start(part("broker", program.format(str(order), "broker;"), tmp_path))
    supervisor.start(part("stage", program.format(str(order), "stage;"), tmp_path, wave=1))
    supervisor.stop()
    assert order.read_text() == "stage;broker;"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_no_orphan_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    program = f"""
import os, pathlib, sys, time
from nightdesk.local.parts import Part
from nightdesk.local.ports import claim_port
from nightdesk.local.progress import Silent
from nightdesk.local.supervisor import Supervisor
supervisor = Supervisor(pathlib.Path({str(tmp_path)!r}), dict(os.environ), Silent())
supervisor.start(Part("child", "here", (sys.executable, "-c", {STAY!r})))
print(supervisor.children[0].process.pid, flush=True)
time.sleep(600)
"""
    assert orphans(program) == []


def test_a_port_in_use_names_the_variable_to_change() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failure, match=rf"port {port} is in use.*NIGHTDESK_LOCAL__KAFKA_PORT"):
            claim_port(port, "NIGHTDESK_LOCAL__KAFKA_PORT")


def test_a_claimed_port_is_given_once_and_never_to_a_connection_that_goes_out() -> None:
    """A part binds its port some time after the claim, and again after each restart."""
    given = [claim_port(0, "") for _ in range(200)]
    assert len(set(given)) == len(given)
    assert all(port < FIRST_OF_OUTGOING_CONNECTIONS for port in given)


def test_a_claimed_port_is_free() -> None:
    import socket

    following = (claim_port(0, "") + 1 - 20_000) % (32_768 - 20_000) + 20_000
    with socket.create_server(("127.0.0.1", following)):
        assert claim_port(0, "") != following


def test_where_no_port_can_be_bound_it_says_so_and_does_not_search_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(port: int) -> None:
        raise PermissionError(port)

    monkeypatch.setattr("nightdesk.local.ports._bind", refuse)
    with pytest.raises(Failure, match=r"no port from 20000 to 32767 can be bound"):
        claim_port(0, "")


ANSWERS = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", {port}), Handler)
print("up", flush=True)
server.serve_forever()
"""


def test_a_child_that_hangs_without_ending_is_said_and_started_again(tmp_path: Path, notes: Notes) -> None:
    port = claim_port(0, "")
    policy = RestartPolicy(first_pause_s=0.01, ask_every_s=0.05, hangs_after_s=0.2, least_questions=2)
    hanging = replace(
        part("quiet", ANSWERS.format(port=port), tmp_path), is_alive=answers_http(f"http://127.0.0.1:{port}/")
    )
    with Supervisor(tmp_path / "logs", dict(os.environ), notes, policy) as supervisor:
        supervisor.start(hanging)
        first = pid(supervisor)
        for _ in range(20):
            supervisor.check()
            time.sleep(0.02)
        assert pid(supervisor) == first, "one that answers is left alone"
        os.kill(first, signal.SIGSTOP)
        supervisor.wait(lambda: pid(supervisor) != first, poll_s=0.01)
        assert is_gone(first)
        supervisor.wait(lambda: hanging.is_alive is not None and hanging.is_alive(), poll_s=0.01)
    assert any("quiet runs and has not answered" in line for line in notes.lines)
    assert "quiet started again" in notes.lines


def test_a_supervisor_that_did_not_run_kills_nobody_for_it(tmp_path: Path, notes: Notes) -> None:
    now = [0.0]
    is_there = [True]
    policy = RestartPolicy(hangs_after_s=30, ask_every_s=5, least_questions=3)
    with Supervisor(tmp_path / "logs", dict(os.environ), notes, policy, clock=lambda: now[0]) as supervisor:
        supervisor.start(replace(part("calm", STAY, tmp_path), is_alive=lambda: is_there[0]))
        now[0] = 5.0
        supervisor.check()
        is_there[0] = False
        now[0] = 3600.0  # the machine was suspended, and the first question comes before the child is awake
        supervisor.check()
        is_there[0] = True
        now[0] = 3605.0
        supervisor.check()
        assert supervisor.children[0].exit_status is None


def test_what_a_child_writes_has_a_bound(tmp_path: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nightdesk.local.child.LARGEST_LOG_BYTES", 10_000)
    talkative = "import time\nprint('up', flush=True)\nwhile True: print('x' * 999, flush=True); time.sleep(0.001)"
    policy = RestartPolicy(ask_every_s=0.01)
    with Supervisor(tmp_path / "logs", dict(os.environ), notes, policy) as supervisor:
        supervisor.start(part("talkative", talkative, tmp_path))
        old = tmp_path / "logs" / "talkative.old.log"
        supervisor.wait(old.exists, poll_s=0.01)
        child = supervisor.children[0]
        before = child.log.stat().st_size
        supervisor.wait(lambda: child.log.stat().st_size > before, poll_s=0.01)
        assert child.exit_status is None
        assert old.stat().st_size < 1_000_000
