"""`nightdesk up`: what `make up` runs. Everything on this machine, the example day through it, and then it stays up."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from nightdesk.exits import ExitCode, Failure
from nightdesk.local.example_day import ExampleDay, ends, summary, without_end, worth_telling
from nightdesk.local.parts import python_module
from nightdesk.local.progress import OnConsole
from nightdesk.local.stack import LocalStack
from nightdesk.local.stages import stage_parts
from nightdesk.output import Output, print_rows
from nightdesk.settings import Settings, load_settings

# In order; each is safe to run again. Run as commands, so that `up` does what a person or a chart would do.
PREPARATION = ("topics apply", "schemas register", "migrate", "charter apply {charters}")
EXAMPLE_DAY_WITHIN_S = 180.0

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Stopped(BaseException):
    """A signal asked us to stop. Not an Exception: nobody below may take it for an error."""


def up(
    demo: Annotated[bool, typer.Option(help="Send the example day through the pipeline")] = True,
    stages: Annotated[bool, typer.Option(help="Start the stages, not only Kafka, registry and ClickHouse")] = True,
) -> None:
    """Start Kafka, registry, ClickHouse and every stage, run the example day, keep running until Ctrl-C."""
    report = OnConsole(Console())
    settings = load_settings()
    _say_who_decides(settings, report)
    try:
        with _signals_raise(), LocalStack(settings, report) as stack:
            if stages:
                _prepare(stack, report)
                stack.supervisor.start(*stage_parts(stack))
                if demo:
                    _run_example_day(stack, report)
            report.say("\nEverything runs. Ctrl-C stops it; the data stays in " + str(settings.home))
            stack.supervisor.wait(lambda: False)
    except _Stopped:
        report.say("stopped")


def _say_who_decides(settings: Settings, report: OnConsole) -> None:
    if settings.anthropic.api_key or settings.openai.base_url:
        report.say("A model is configured: charters that name it ask it, which costs money within their budgets.")
    else:
        report.say("No model is configured (ANTHROPIC_API_KEY is not set): the charters' own rules decide.")


@contextmanager
def _signals_raise() -> Iterator[None]:
    """The first stop signal raises `_Stopped`; while the children are being stopped more of them change nothing."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise _Stopped

    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    yield


def _prepare(stack: LocalStack, report: OnConsole) -> None:
    for step in PREPARATION:
        _run(stack, step.format(charters=stack.settings.charters))
        report.say(f"done: nightdesk {step.format(charters=stack.settings.charters)}")


def _run_example_day(stack: LocalStack, report: OnConsole) -> None:
    day = ExampleDay.of(stack.settings)
    if not day.events.exists():
        report.say(f"no example day: {day.events} is not there")
        return
    if not day.sent.exists():
        report.say(f"sending the example day: {day.events}")
        _run(stack, f"produce {day.events}")
        day.sent.touch()
    _await_ends(stack, day, report)
    _tell(stack, day, report)


def _await_ends(stack: LocalStack, day: ExampleDay, report: OnConsole) -> None:
    keys, deadline = day.keys, time.monotonic() + EXAMPLE_DAY_WITHIN_S
    while open_events := without_end(keys, ends(stack.settings)):
        stack.supervisor.check()
        if time.monotonic() > deadline:
            some = ", ".join(sorted(event_id for _, event_id in open_events)[:5])
            report.say(f"{len(open_events)} of {len(keys)} events have no end yet ({some}): see `nightdesk status`")
            return
        time.sleep(0.5)
    report.say(f"all {len(keys)} events have an end")


def _tell(stack: LocalStack, day: ExampleDay, report: OnConsole) -> None:
    keys, found = day.keys, ends(stack.settings)
    print_rows(summary(keys, found), Output.text)
    subject = worth_telling(keys, found)
    if subject is None:
        return
    report.say(f"\n$ nightdesk why {subject}")
    report.say(_run(stack, f"why {subject}"))
    report.say("\nIn another terminal (.venv/bin/nightdesk, or with .venv activated):")
    report.say(f"  nightdesk why {subject}")
    report.say('  nightdesk sql "SELECT status, count() FROM cases GROUP BY status"')
    report.say("  nightdesk status")
    report.say("  nightdesk produce FILE     # JSON lines: id, source, type, subject, data")


def _run(stack: LocalStack, arguments: str) -> str:
    """Run one of our own commands against the stack; gives what it printed. Raises `Failure` with its complaint."""
    command = [*python_module("nightdesk"), *arguments.split()]
    result = subprocess.run(command, capture_output=True, text=True, env=stack.environment(), check=False)
    if result.returncode != ExitCode.OK:
        raise Failure(
            f"`nightdesk {arguments}` failed: {(result.stderr or result.stdout).strip()}", code=ExitCode.FAILED
        )
    return result.stdout
