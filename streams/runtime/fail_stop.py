"""The end of a process that can no longer vouch for itself.

Called by the safety layer only. Nothing that was not durable has been acknowledged, so the next process (static
membership: in seconds) does it again. `os._exit`, because a graceful shutdown of Faust would commit.
"""

import logging
import os
import sys
from enum import IntEnum
from typing import NoReturn

log = logging.getLogger(__name__)


class ExitCode(IntEnum):
    """Why a worker ended itself; documented in docs/reference/commands.md."""

    DRAINED = 0
    CANNOT_WRITE = 70
    GAP = 71
    FROZEN = 72
    NO_PROGRESS = 73
    UNAVAILABLE = 74
    DEAD_LETTER_FAILED = 75
    TOO_MANY_DEAD_LETTERS = 76


def fail_stop(code: ExitCode, reason: str) -> NoReturn:
    """End now, with the offset uncommitted."""
    log.critical("stopping: %s", reason, extra={"exit_code": int(code)})
    leave(code)


def leave(code: ExitCode) -> NoReturn:
    """End without any shutdown of Faust; what was said on the streams is flushed."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
