"""Tests whether an event meets one of the conditions that cancel a waiting timer or decision. Pure."""

from collections.abc import Iterable
from functools import lru_cache

from nightdesk.processors.expressions import Expression, ExpressionFailed, ExpressionInvalid, compile_expression
from nightdesk.processors.scopes import EVENT, DataInvalid, event_scope
from nightdesk.schemas.records import CancelCondition, Event


def is_met(conditions: Iterable[CancelCondition], event: Event) -> bool:
    """Whether any condition is met. An expression that fails for this event is not met, so nothing is cancelled."""
    return any(condition.type == event.type and _is_true(condition.when, event) for condition in conditions)


def _is_true(source: str, event: Event) -> bool:
    if not source:
        return True
    expression = _compiled(source)
    try:
        return expression is not None and expression.test(event_scope(event))
    except (DataInvalid, ExpressionFailed):
        return False


@lru_cache(maxsize=1000)
def _compiled(source: str) -> Expression | None:
    """The compiled expression; None if the text is none, which cannot come from a charter."""
    try:
        return compile_expression(source, EVENT)
    except ExpressionInvalid:
        return None
