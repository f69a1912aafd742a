"""The options by which `nightdesk dlq` is told which letters are meant: the same ones for each of its commands."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from nightdesk.dead_letters.choosing import Choice, moment


def choice_of(
    topic: Annotated[str, typer.Option(help="where the record lay: ingest, budget, decide, act, later, ...")] = "",
    stage: Annotated[str, typer.Option(help="who could not do it")] = "",
    error: Annotated[str, typer.Option(help="the error's name, as `list` shows it")] = "",
    subject: Annotated[str, typer.Option(help="what the record is about, a ticket for instance")] = "",
    since: Annotated[str, typer.Option(help="not before: 2026-11-23T08:00 (UTC), or 2h for two hours ago")] = "",
    until: Annotated[str, typer.Option(help="only before")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="at most so many, the oldest first")] = None,
) -> Choice:
    """What the options come to. Raises `Failure` for a time that is none."""
    now = datetime.now(UTC)
    return Choice((), topic, stage, error, subject, moment(since, now), moment(until, now), limit)


def takes_choice(command: Callable[..., None]) -> Callable[..., None]:
    """Put the options of `choice_of` in the place of a command's parameter `choice`."""
    options = inspect.signature(choice_of, eval_str=True).parameters

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        asked = {name: given.pop(name) for name in options}
        command(choice=choice_of(**asked), **given)

    signature = inspect.signature(command, eval_str=True)
    own = [parameter for name, parameter in signature.parameters.items() if name != "choice"]
    keywords = [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in (*own, *options.values())]
    with_options.__signature__ = signature.replace(parameters=keywords)  # type: ignore[attr-defined]  # what typer reads
    return with_options
