"""Tunes the Python interpreter for long-running workers. docs/performance.md has the effect of each setting."""

import gc
import sys


def freeze_gc() -> None:
    """Freeze all loaded objects and raise the thresholds of the garbage collector: records in flight are no garbage,
    and at the default thresholds a busy stage spends a fifth of its time looking for cycles that do not exist.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)


def raise_switch_interval() -> None:
    """Let a running thread keep the interpreter for longer. At Python's 5 ms the fetching and the delivery threads
    interrupt a busy loop all the time; a waiting loop yields at once.
    """
    sys.setswitchinterval(0.1)
