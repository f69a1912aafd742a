"""`nightdesk produce`: sends events from JSON lines to the ingest topic, as any producer may."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from nightdesk.exit_codes import EXIT_CODES
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.events import send_events
from nightdesk.output import Output, OutputOption, print_error, print_json, print_line
from nightdesk.settings import load_settings


def produce(
    file: Annotated[str, typer.Argument(help="JSON lines: id, source, type, subject, time, data; - is stdin")] = "-",
    source: Annotated[str, typer.Option(help="for lines without one")] = "nightdesk/produce",
    type: Annotated[str | None, typer.Option(help="for lines without one")] = None,  # noqa: A002 - the option's name
    traceparent: Annotated[str | None, typer.Option(help="W3C trace context to send with every event")] = None,
    output: OutputOption = Output.text,
) -> None:
    """Send events. A bad line is reported and the others are still sent; the exit code is then 1."""
    defaults = {"source": source} | ({"type": type} if type else {})
    with _open(file) as lines:
        report = send_events(load_settings(), lines, defaults, traceparent)
    for number, reason in sorted(report.failed.items()):
        print_error(f"line {number}: {reason}")
    if output is Output.json:
        failed = [{"line": number, "reason": reason} for number, reason in sorted(report.failed.items())]
        print_json({"topic": report.topic, "delivered": report.delivered, "failed": failed})
    else:
        print_line(f"{report.delivered} of {report.delivered + len(report.failed)} events delivered to {report.topic}")
    if report.failed:
        raise typer.Exit(EXIT_CODES[FailureKind.FAILED])


def _open(file: str) -> BinaryIO:
    if file == "-":
        return sys.stdin.buffer
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise Failure(f"cannot read {file}: {error.strerror}", kind=FailureKind.INVALID) from error
