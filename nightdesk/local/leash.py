"""`python -I -S leash.py PARENT_PID NICENESS COMMAND...`: becomes COMMAND, which dies when the parent does, even of a
kill -9.

A program of its own and not a `preexec_fn`: that runs Python between fork and exec, where threads may hold locks.
Only Linux has the death signal; elsewhere the command simply runs, and stopping it is left to the supervisor.

It becomes a batch process, too: a dozen of them share few cores, and each that wakes would interrupt the one that runs
and spoil its caches (docs/performance.md).
"""

import contextlib
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, niceness, *command = sys.argv[1:]
    os.nice(int(niceness))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with contextlib.suppress(OSError):  # a sandbox that forbids it loses speed and nothing else
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    if os.getppid() != int(parent):  # it died before we asked to be told
        sys.exit("the process that started this one is gone")
    os.execvp(command[0], command)  # noqa: S606  # becoming the command is the purpose


if __name__ == "__main__":
    main()
