"""`nightdesk up`: what `make up` runs. It starts everything on this machine, processes the example day, and keeps
running.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer

from nightdesk.local.demo_day import DemoDay, ends, example_subject, summary, without_end
from nightdesk.local.parts import python_module
from nightdesk.local.progress import OnConsole
from nightdesk.local.stack import LocalStack
from nightdesk.local.stages import stage_parts, stage_ports
from nightdesk.local.web_console import console_part
from nightdesk.messaging.failures import Failure
from nightdesk.output import Output, print_rows
from nightdesk.settings import ASK_A_MODEL, Settings, load_settings, providers_configured

# In order; each can be repeated. They run as commands, so that `up` does the same as a person or the chart.
PREPARATION = ("topics apply", "schemas register", "migrate", "charter apply {charters} --promote")
EXAMPLE_DAY_WITHIN_S = 180.0

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Stopped(BaseException):
    """A signal asked us to stop. Not an Exception, so that no handler takes it for an error."""


def up(
    demo: Annotated[bool, typer.Option(help="Send the example day through the pipeline")] = True,
    stages: Annotated[bool, typer.Option(help="Start the stages, not only Kafka, registry and ClickHouse")] = True,
) -> None:
    """Start Kafka, registry, ClickHouse and every stage, process the example day, keep running until Ctrl-C."""
    report = OnConsole()
    settings = load_settings()
    _say_who_decides(settings, report)
    if stages:
        stage_ports(settings.local.metrics_port)  # report a port in use now, and not after Kafka has started
    try:
        with _signals_raise(), LocalStack(settings, report) as stack:
            if stages:
                _prepare(stack, report)
                console = console_part(stack)
                stack.supervisor.start(*stage_parts(stack), console)
                if demo:
                    _run_example_day(stack, report)
                report.show(f"\nThe web console: {console.where}")
            report.show("\nEverything runs. Ctrl-C stops it; the data stays in " + str(settings.home))
            stack.supervisor.wait(lambda: False)
    except _Stopped:
        report.show("stopped")


def _say_who_decides(settings: Settings, report: OnConsole) -> None:
    if providers_configured(settings):
        report.show("A model is configured: charters that name it will ask it, which costs money within their budgets.")
    else:
        report.show(f"No model is configured: the charters' own rules decide. {ASK_A_MODEL}")


@contextmanager
def _signals_raise() -> Iterator[None]:
    """The first stop signal raises `_Stopped`; further signals are ignored while the children are being stopped."""

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
        report.show(f"done: nightdesk {step.format(charters=stack.settings.charters)}")


def _run_example_day(stack: LocalStack, report: OnConsole) -> None:
    day = DemoDay.of(stack.settings)
    if not day.events.exists():
        report.show(f"no example day: {day.events} does not exist")
        return
    if not day.sent.exists():
        report.show(f"sending the example day: {day.events}")
        _run(stack, f"produce {day.events}")
        day.sent.touch()
    _await_ends(stack, day, report)
    _show_example(stack, day, report)


def _await_ends(stack: LocalStack, day: DemoDay, report: OnConsole) -> None:
    keys, deadline = day.keys, time.monotonic() + EXAMPLE_DAY_WITHIN_S
    while open_events := without_end(keys, ends(stack.settings)):
        stack.supervisor.check()
        if time.monotonic() > deadline:
            some = ", ".join(sorted(event_id for _, event_id in open_events)[:5])
            report.show(
                f"{len(open_events)} of {len(keys)} events are not finished yet ({some}): see `nightdesk status`"
            )
            return
        time.sleep(0.5)
    report.show(f"all {len(keys)} events are finished")


def _show_example(stack: LocalStack, day: DemoDay, report: OnConsole) -> None:
    keys, found = day.keys, ends(stack.settings)
    print_rows(summary(keys, found), Output.text)
    subject = example_subject(keys, found)
    if subject is None:
        return
    report.show(f"\n$ nightdesk why {subject}")
    report.show(_run(stack, f"why {subject}"))
    report.show("\nIn another terminal (.venv/bin/nightdesk, or with .venv activated):")
    report.show(f"  nightdesk why {subject}")
    report.show('  nightdesk sql "SELECT status, count() FROM cases GROUP BY status"')
    report.show("  nightdesk status")
    report.show("  nightdesk produce FILE     # JSON lines: id, source, type, subject, data")


def _run(stack: LocalStack, arguments: str) -> str:
    """Run one of our own commands against the stack and return its output. Raises `Failure` with its error."""
    command = [*python_module("nightdesk"), *arguments.split()]
    result = subprocess.run(command, capture_output=True, text=True, env=stack.environment(), check=False)
    if result.returncode != 0:
        raise Failure(f"`nightdesk {arguments}` failed: {(result.stderr or result.stdout).strip()}")
    return result.stdout
