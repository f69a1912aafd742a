"""How the interpreter of a process that carries records is set: when all that it needs is loaded, and why.

Called by `bootstrap` for a stage and by `commands.sink`. What each was worth: docs/performance.md.
"""

import gc
import sys


def spare_the_collector() -> None:
    """What is loaded now stays for ever, and a record in flight is no garbage: at the default thresholds a busy stage
    spends a fifth of its time looking for cycles that are not there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)


def take_long_turns() -> None:
    """The threads that fetch and that hear what was delivered get the interpreter when the loop waits, or after this.
    At Python's 5 ms they interrupt a busy loop all the time."""
    sys.setswitchinterval(0.1)
