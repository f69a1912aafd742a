"""What is left of a program's children when it is killed."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
GONE_WITHIN_S = 12.0


def is_gone(process_id: int) -> bool:
    """Whether the process has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE
    return True


def orphans(program: str, children: int = 1) -> list[int]:
    """Run `program`, which prints the process ids of its children, one a line; kill -9 it, and say which are left."""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            started = [int(parent.stdout.readline()) for _ in range(children)]
            assert not any(is_gone(one) for one in started)
        finally:
            parent.kill()
    until = time.monotonic() + GONE_WITHIN_S
    while (left := [one for one in started if not is_gone(one)]) and time.monotonic() < until:
        time.sleep(0.01)
    return left
