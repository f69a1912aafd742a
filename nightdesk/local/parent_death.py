"""`python -I -S parent_death.py PARENT_PID NICENESS COMMAND...`: becomes COMMAND, which dies with its parent, even
after a kill -9.

It is a program and not a `preexec_fn`, because that runs Python between fork and exec, when threads may hold locks.
Only Linux has the death signal; elsewhere the command simply runs, and the supervisor has to stop it.

It also becomes a batch process: a dozen of them share few cores, and each that wakes would preempt the running one and
evict its caches (docs/performance.md).
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
        with contextlib.suppress(OSError):  # a sandbox that forbids it costs speed and nothing else
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    if os.getppid() != int(parent):  # it died before we registered for the signal
        sys.exit("the parent process has exited")
    os.execvp(command[0], command)  # noqa: S606  # becoming the command is the purpose


if __name__ == "__main__":
    main()
