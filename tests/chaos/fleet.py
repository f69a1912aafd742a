"""The processes of the pipeline. A process that ends is restarted under the same instance id, as Kubernetes would.

There is no thread here: whoever waits calls `keep` repeatedly (`World.pause`, `World.until`).
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import psutil

from nightdesk.local.child import Child
from nightdesk.local.parts import Part
from nightdesk.local.ports import claim_port
from nightdesk.local.stack import LocalStack
from nightdesk.local.stages import stage_parts
from tests.chaos.kafka_proxy import KafkaProxy
from tests.own_clock import clock_environment, set_clock

INSTANCES = 2
START_WITHIN_S = 240.0
STATE_DIR = "NIGHTDESK_WORKER__STATE_DIR"


def fleet_parts(stack: LocalStack, environment: dict[str, str], proxy: KafkaProxy | None = None) -> list[Part]:
    """Two processes for each stage and two sinks, named `decide-0`, `decide-1`, …; each behind its own listener of
    `proxy`, if there is one. The first of each keeps its tables on disk and the second in memory, so that each takes
    over what the other wrote. The second has a clock that can be set.
    """
    tables = stack.settings.home / "tables"
    parts = [_instance(part, number, environment, proxy) for number in range(INSTANCES) for part in stage_parts(stack)]
    return [_with_tables_in(tables, part) if part.name.endswith("-0") else part for part in parts]


def _instance(part: Part, number: int, environment: dict[str, str], proxy: KafkaProxy | None) -> Part:
    name = f"{part.name}-{number}"
    told = {**part.environment, **environment, "NIGHTDESK_WORKER__INSTANCE_ID": name}
    if proxy is not None:
        told["NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS"] = proxy.address(name)
    return replace(part, name=name, environment=told)


def _with_tables_in(folder: Path, part: Part) -> Part:
    return replace(part, environment={**part.environment, STATE_DIR: str(folder / part.name)})


def has_own_clock(name: str) -> bool:
    """Whether `Fleet.set_clock` accepts this name: the first instance of each stage has the machine's clock."""
    return name.endswith("-1")


def _with_own_clock(part: Part, logs: Path) -> Part:
    file = _clock(logs, part.name)
    set_clock(file, 0)
    return replace(part, environment={**part.environment, **clock_environment(file)})


def _clock(logs: Path, name: str) -> Path:
    return logs / f"{name}.clock"


class Fleet:
    """`faults` counts the faults by kind, `exits` the exit statuses of processes (negative: a signal)."""

    def __init__(self, parts: Iterable[Part], logs: Path) -> None:
        self._clocks = logs
        parts = [_with_own_clock(part, logs) if has_own_clock(part.name) else part for part in parts]
        self._children = {part.name: Child(part, logs / f"{part.name}.log", dict(os.environ)) for part in parts}
        self._logs = logs
        self._frozen: set[str] = set()
        self._dismissed: set[str] = set()
        self._twins: list[Child] = []
        self.faults: Counter[str] = Counter()
        self.exits: Counter[int] = Counter()

    @property
    def names(self) -> list[str]:
        """The names of all processes."""
        return list(self._children)

    def start(self) -> None:
        """Start all processes; returns when they are ready."""
        for child in self._children.values():
            child.start()
        deadline = time.monotonic() + START_WITHIN_S
        while not self.are_ready():
            self.keep()
            assert time.monotonic() < deadline, f"not ready: {self.unready()}"
            time.sleep(0.2)

    def unready(self) -> list[str]:
        """The processes that do not answer, have no partitions, or have not recovered their tables."""
        kept = {name: child for name, child in self._children.items() if name not in self._dismissed}
        return [name for name, child in kept.items() if not child.part.is_ready()]

    def are_ready(self) -> bool:
        """Whether all processes are ready. The first that is not is the answer: who waits asks again and again."""
        return all(child.part.is_ready() for name, child in self._children.items() if name not in self._dismissed)

    def is_ready(self, name: str) -> bool:
        return self._children[name].part.is_ready()

    def keep(self) -> None:
        """Restart the processes that have ended."""
        for name, child in self._children.items():
            status = child.exit_status
            if status is not None and name not in self._dismissed:
                self.exits[status] += 1
                child.start()

    def kill(self, name: str) -> None:
        """kill -9."""
        self._strike("killed", name, signal.SIGKILL)

    def terminate(self, name: str) -> None:
        """Send SIGTERM, as a rolling restart does."""
        self._strike("terminated", name, signal.SIGTERM)

    def dismiss(self, name: str, *, kill: bool) -> None:
        """End a process for good, by SIGTERM or kill -9: it is not restarted before `take_back`."""
        self._dismissed.add(name)
        what, number = ("killed", signal.SIGKILL) if kill else ("terminated", signal.SIGTERM)
        self._strike(what, name, number)

    def take_back(self, name: str) -> None:
        """Start a dismissed process again, as an autoscaler does."""
        self._dismissed.discard(name)
        self.keep()

    def freeze(self, name: str) -> None:
        """Stop the process until `thaw`."""
        self._strike("frozen", name, signal.SIGSTOP)
        self._frozen.add(name)

    def thaw(self, name: str) -> None:
        self._signal(name, signal.SIGCONT)
        self._frozen.discard(name)

    def set_clock(self, name: str, ahead_s: int) -> None:
        """Within about a second, set its wall clock ahead of the machine's by so many seconds (behind, if negative)."""
        self.faults["clock set"] += 1
        set_clock(_clock(self._clocks, name), ahead_s)

    def tables(self, name: str) -> Path:
        """The folder of its tables; only the first instance of each stage has one."""
        return Path(self._children[name].part.environment[STATE_DIR])

    def fill_disk(self, name: str) -> None:
        """From now on none of its files can grow, its log included. Its successor has room again."""
        self.faults["disk filled"] += 1
        process = self._children[name].process
        if process is not None and process.poll() is None:
            psutil.Process(process.pid).rlimit(psutil.RLIMIT_FSIZE, (1, psutil.RLIM_INFINITY))

    def start_twin(self, name: str) -> Child:
        """Start a second process under the instance id of `name`, as on another machine: with a disk of its own. It is
        not restarted when it ends.
        """
        part = self._children[name].part
        told = {**part.environment, "NIGHTDESK_WORKER__METRICS_PORT": str(claim_port(0, ""))}
        if STATE_DIR in told:
            told[STATE_DIR] += "-twin"
        twin = Child(replace(part, environment=told), self._logs / f"{name}-twin.log", dict(os.environ))
        self.faults["doubled"] += 1
        self._twins.append(twin)
        twin.start()
        return twin

    def ended(self, name: str) -> Callable[[], bool]:
        """Whether the current process of this name has ended."""
        process = self._children[name].process
        return lambda: process is None or process.poll() is not None

    def stop(self) -> None:
        """Kill all processes at once, because the checks are about what was made durable."""
        for child in (*self._children.values(), *self._twins):
            child.wait_or_kill(0.0)

    def _strike(self, what: str, name: str, number: signal.Signals) -> None:
        self.faults[what] += 1
        self._signal(name, number)

    def _signal(self, name: str, number: signal.Signals) -> None:
        process = self._children[name].process
        if process is not None and process.poll() is None:
            process.send_signal(number)
