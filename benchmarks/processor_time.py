"""Measures the CPU seconds of the pipeline's processes, each together with its children."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import psutil

from nightdesk.local.child import Child

THIS_PROCESS = "producer and measurement"


def cpu_seconds(children: Iterable[Child]) -> dict[str, float]:
    """CPU seconds so far (user and system) by process name. This process, which produces and measures, is among
    them.
    """
    seconds = {child.part.name: _of_tree(child.process.pid) for child in children if child.process is not None}
    return seconds | {THIS_PROCESS: _of(psutil.Process())}


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds between two readings, by process name."""
    return {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}


def of_process(pid: int) -> float:
    """CPU seconds so far of one process without its children."""
    return _of(psutil.Process(pid))


def _of_tree(pid: int) -> float:
    process = psutil.Process(pid)
    return sum(map(_of, (process, *process.children(recursive=True))))


def _of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
