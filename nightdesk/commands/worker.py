"""`nightdesk worker STAGE...`: the processes of the pipeline, one for each stage."""

from __future__ import annotations

import signal
import subprocess
from types import FrameType
from typing import Annotated

import typer

from nightdesk.local.child import dying_with_this_process
from nightdesk.local.parts import python_module
from nightdesk.logs import configure_logging
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.settings import load_settings
from nightdesk.streams.catalog import BY_NAME

GRACE_S = 40.0


Stages = Annotated[list[str], typer.Argument(help=", ".join(BY_NAME), metavar="STAGE...")]


def worker(stages: Stages) -> None:
    """Run stages until SIGTERM. One stage runs in this process; several run as one process each."""
    unknown = [name for name in stages if name not in BY_NAME]
    if unknown:
        raise Failure(f"no stage {', '.join(unknown)}", f"The stages are {', '.join(BY_NAME)}", FailureKind.INVALID)
    settings = load_settings()
    configure_logging(settings.log)
    if len(stages) == 1:
        from nightdesk.bootstrap import run_stage

        run_stage(stages[0], settings)
    else:
        _run_apart(stages)


def _run_apart(stages: list[str]) -> None:
    """Run one process for each stage. If one exits, all exit, and the supervisor restarts this process. No child
    outlives it, because its successor would start a second one with the same instance id.
    """
    commands = [dying_with_this_process(python_module("nightdesk", "worker", name)) for name in stages]
    children = [subprocess.Popen(command) for command in commands]

    def stop(_number: int, _frame: FrameType | None) -> None:
        for child in children:
            child.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    codes: list[int] = []
    while not codes:
        for child in children:
            try:
                codes.append(child.wait(timeout=0.2))
                break
            except subprocess.TimeoutExpired:
                continue
    stop(signal.SIGTERM, None)
    codes += [child.wait(timeout=GRACE_S) for child in children]
    raise typer.Exit(max(codes))
