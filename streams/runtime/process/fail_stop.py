"""Exits a process that can no longer prove that its state is right.

Only durable work was committed, so the next process (with static membership, within seconds) repeats the rest. It uses
`os._exit`, because a graceful shutdown of Faust would commit.
"""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from typing import NoReturn

log = logging.getLogger(__name__)


class ExitCode(IntEnum):
    """Why a worker exited; documented in docs/reference/commands.md."""

    DRAINED = 0
    CANNOT_WRITE = 70
    GAP = 71
    FROZEN = 72
    NO_PROGRESS = 73
    UNAVAILABLE = 74
    DEAD_LETTER_FAILED = 75
    OWNERSHIP_LOST = 77
    TWIN = 78
    TOPIC_CHANGED = 79
    CLOCK_SET_BACK = 80
    NOT_OUR_TOPICS = 81
    CLOCK_WRONG = 82


def fail_stop(code: ExitCode, reason: str) -> NoReturn:
    """Exit now, with the offset uncommitted."""
    log.critical("stopping: %s", reason, extra={"exit_code": int(code)})
    leave(code)


# Called with the code before the process exits; each must take no time.
_callbacks: list[Callable[[ExitCode], None]] = []


def before_leaving(callback: Callable[[ExitCode], None]) -> None:
    """Call `callback` before the process exits."""
    _callbacks.append(callback)


def leave(code: ExitCode) -> NoReturn:
    """Exit without any shutdown of Faust; stdout and stderr are flushed."""
    for callback in _callbacks:
        callback(code)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # its disk may be full, which may be why the process exits
            stream.flush()
    os._exit(code)
