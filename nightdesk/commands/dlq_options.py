"""The filter options of `nightdesk dlq`, the same for each of its commands."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from nightdesk.operations.dead_letters.choosing import Choice
from nightdesk.operations.times import moment
from nightdesk.schemas.topics import TOPICS

DEAD_LETTER_TOPICS = [topic.name for topic in TOPICS if topic.dead_letters]


def choice_of(
    topic: Annotated[str, typer.Option(help=f"the record's topic: {', '.join(DEAD_LETTER_TOPICS)}")] = "",
    stage: Annotated[str, typer.Option(help="the stage that failed")] = "",
    error: Annotated[str, typer.Option(help="the error's name, as `list` shows it")] = "",
    subject: Annotated[str, typer.Option(help="the record's subject, such as a ticket")] = "",
    origin: Annotated[str, typer.Option(help="what is known of the producer, as `list` shows it in JSON")] = "",
    since: Annotated[str, typer.Option(help="not before: 2026-11-23T08:00 (UTC), or 2h for two hours ago")] = "",
    until: Annotated[str, typer.Option(help="only before")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="at most this many, the oldest first")] = None,
    cause: Annotated[str, typer.Option(help="the error's message without what differs: see `list --by-cause`")] = "",
) -> Choice:
    """The filter that the options describe. Raises `Failure` for an invalid time."""
    now = datetime.now(UTC)
    return Choice((), topic, stage, error, subject, origin, moment(since, now), moment(until, now), limit, cause)


def takes_choice(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's parameter `choice` by the options of `choice_of`."""
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
