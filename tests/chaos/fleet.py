"""The processes of the pipeline: what ends is started again under the same instance id, as Kubernetes would.

Has no thread: whoever waits calls `keep` again and again (`World.pause`, `World.until`).
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from nightdesk.local.child import Child
from nightdesk.local.parts import Part
from nightdesk.local.stack import LocalStack
from nightdesk.local.stages import stage_parts

INSTANCES = 2
START_WITHIN_S = 240.0


def fleet_parts(stack: LocalStack, environment: dict[str, str]) -> list[Part]:
    """Two processes for each stage and two sinks, named `decide-0`, `decide-1`, …"""
    return [_instance(part, number, environment) for number in range(INSTANCES) for part in stage_parts(stack)]


def _instance(part: Part, number: int, environment: dict[str, str]) -> Part:
    name = f"{part.name}-{number}"
    told = {**part.environment, **environment, "NIGHTDESK_WORKER__INSTANCE_ID": name}
    return replace(part, name=name, environment=told)


class Fleet:
    """`faults` counts what was done to the processes, `exits` with which status they ended (negative: a signal)."""

    def __init__(self, parts: Iterable[Part], logs: Path) -> None:
        self._children = {part.name: Child(part, logs / f"{part.name}.log", dict(os.environ)) for part in parts}
        self._frozen: set[str] = set()
        self.faults: Counter[str] = Counter()
        self.exits: Counter[int] = Counter()

    @property
    def names(self) -> list[str]:
        """Every process."""
        return list(self._children)

    def start(self) -> None:
        """Start all; returns when they are ready."""
        for child in self._children.values():
            child.start()
        deadline = time.monotonic() + START_WITHIN_S
        while not self.are_ready():
            self.keep()
            assert time.monotonic() < deadline, f"not ready: {self.unready()}"
            time.sleep(0.2)

    def unready(self) -> list[str]:
        """Those that do not answer, have no partitions, or have not recovered their tables."""
        return [name for name, child in self._children.items() if not child.part.is_ready()]

    def are_ready(self) -> bool:
        return not self.unready()

    def is_ready(self, name: str) -> bool:
        return self._children[name].part.is_ready()

    def keep(self) -> None:
        """Start again what has ended."""
        for child in self._children.values():
            status = child.exit_status
            if status is not None:
                self.exits[status] += 1
                child.start()

    def kill(self, name: str) -> None:
        """kill -9."""
        self._strike("killed", name, signal.SIGKILL)

    def terminate(self, name: str) -> None:
        """Ask it to stop, as a rolling restart does."""
        self._strike("terminated", name, signal.SIGTERM)

    def freeze(self, name: str) -> None:
        """It stands still until `thaw`."""
        self._strike("frozen", name, signal.SIGSTOP)
        self._frozen.add(name)

    def thaw(self, name: str) -> None:
        self._signal(name, signal.SIGCONT)
        self._frozen.discard(name)

    def ended(self, name: str) -> Callable[[], bool]:
        """Whether the process that runs now under this name has ended."""
        process = self._children[name].process
        return lambda: process is None or process.poll() is not None

    def stop(self) -> None:
        """End all, at once: what is checked is what was made durable."""
        for child in self._children.values():
            child.wait_or_kill(0.0)

    def _strike(self, what: str, name: str, number: signal.Signals) -> None:
        self.faults[what] += 1
        self._signal(name, number)

    def _signal(self, name: str, number: signal.Signals) -> None:
        process = self._children[name].process
        if process is not None and process.poll() is None:
            process.send_signal(number)
