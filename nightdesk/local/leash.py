"""`python -I -S leash.py PARENT_PID COMMAND...`: becomes COMMAND, which dies when the parent does, even of a kill -9.

A program of its own and not a `preexec_fn`: that runs Python between fork and exec, where threads may hold locks.
Only Linux has the death signal; elsewhere the command simply runs, and stopping it is left to the supervisor.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it died before we asked to be told
        sys.exit("the process that started this one is gone")
    os.execvp(command[0], command)  # noqa: S606  # becoming the command is the purpose


if __name__ == "__main__":
    main()
