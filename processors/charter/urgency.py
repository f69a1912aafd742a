"""Tries `budget.urgent` and `queue.priority` on the events of the charter's examples. Pure.

In production nobody would notice that such an expression fails: the case is not urgent, and waits. So `nightdesk
charter check` tries it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from nightdesk.processors.charter.examples import parse_examples
from nightdesk.processors.charter.model import Charter
from nightdesk.processors.charter.source import Path
from nightdesk.processors.expressions import ExpressionFailed, compile_expression
from nightdesk.processors.scopes import EVENT, DataInvalid, Scope, event_scope
from nightdesk.schemas.records import Event

TIME = datetime(2026, 1, 1, tzinfo=UTC)


def failing(charter: Charter) -> Iterator[tuple[Path, str]]:
    """For each expression that fails, the first example with which it does."""
    for path, source, counts_as in (
        (("budget", "urgent"), charter.budget.urgent, "is not urgent"),
        (("queue", "priority"), charter.queue.priority, "has the priority 0"),
    ):
        if source is None or charter.decide.examples is None:
            continue
        expression = compile_expression(source, EVENT)
        evaluate = expression.test if path[0] == "budget" else expression.number
        for number, example in enumerate(parse_examples(charter.decide.examples.text, charter.actions), start=1):
            try:
                evaluate(_scope(charter, example.event))
            except (DataInvalid, ExpressionFailed) as error:
                yield path, f"fails for the event of example {number}, so that such a case {counts_as}: {error}"
                break


def _scope(charter: Charter, data: dict[str, Any]) -> Scope:
    text = orjson.dumps(data).decode()
    return event_scope(
        Event(id="example", source="example", type=charter.on[0].type, subject="example", time=TIME, data=text)
    )
