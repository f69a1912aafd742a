"""`nightdesk topics apply`: run once per installation and version, before any worker starts."""

from __future__ import annotations

from typing import Annotated

import typer

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.installation_claim import claim_topics
from nightdesk.operations.topics import apply_topics, check_differences, check_partitions
from nightdesk.output import Output, OutputOption, print_line, print_rows
from nightdesk.settings import load_settings

app = typer.Typer(help="Create missing topics.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Create missing topics."""


@app.command()
def claim(
    yes: Annotated[bool, typer.Option("--yes", help="All processes of the other installation are stopped")],
) -> None:
    """Give the topics to this installation (NIGHTDESK_INSTALLATION), in place of another one that it replaces."""
    settings = load_settings()
    if not yes:
        raise Failure("nothing was claimed", "Stop the other installation, then add --yes", FailureKind.INVALID)
    claim_topics(settings, settings.installation)
    print_line(f"the topics {settings.kafka.topic_prefix}* belong to {settings.installation}")


@app.command()
def apply(
    output: OutputOption = Output.text,
    strict: Annotated[bool, typer.Option(help="Fail if a topic differs")] = False,
) -> None:
    """Create missing topics and report those that differ. Can be repeated.

    If a topic has another number of partitions, nothing is created and the exit code is 1: keys would be in other
    partitions than the workers expect.
    """
    kafka = load_settings().kafka
    applied = apply_topics(kafka)
    rows = [
        {"topic": one.topic, "state": one.state.value, "differences": "; ".join(one.differences)} for one in applied
    ]
    print_rows(rows, output)
    check_partitions(kafka, applied)
    if strict:
        check_differences(applied)
