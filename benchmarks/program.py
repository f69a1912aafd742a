"""Runs a benchmark as a program: SIGTERM cleans up as Ctrl-C does, and a failure ends it with its exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType

import typer

from nightdesk.exit_codes import EXIT_CODES
from nightdesk.messaging.failures import Failure


def run_program(main: Callable[..., None]) -> None:
    """Run `main` with the arguments of the command line."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        typer.run(main)
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        sys.exit(EXIT_CODES[failure.kind])


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
