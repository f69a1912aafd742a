"""Finds valid parts of a charter that will surprise its author. Pure.

`nightdesk charter check` shows the warnings beside the errors; they do not fail the check.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nightdesk.processors.charter import case_price, urgency
from nightdesk.processors.charter.handlers import HttpHandler
from nightdesk.processors.charter.model import Charter
from nightdesk.processors.charter.overlaps import overlaps
from nightdesk.processors.charter.problems import Problem, problem_of
from nightdesk.processors.charter.schema_costs import costs_of
from nightdesk.processors.charter.source import Path, read_yaml
from nightdesk.processors.expressions import compile_expression
from nightdesk.processors.scopes import CASE, DECISION, EVENT
from nightdesk.processors.sizes import CHARACTERS_PER_ELEMENT
from nightdesk.processors.templates import safe_elements

# The elements of the largest accepted event (1,000,000 bytes), if they are strings of some length.
LARGEST_EVENT = 1_000_000 // CHARACTERS_PER_ELEMENT


def warnings_for(charter: Charter, text: str, others: Sequence[Charter] = ()) -> tuple[Problem, ...]:
    """Each warning with its line in the charter's YAML text. `others` are charters that would be in force beside it."""
    source = read_yaml(text)
    found = []
    overlapping = ((("on", index), reason) for other in others for index, reason in overlaps(charter, other))
    for path, reason in (*_found(charter), *overlapping):
        found.append(problem_of(source.position_of(path), path, reason))
    return tuple(sorted(found))


def _found(charter: Charter) -> Iterator[tuple[Path, str]]:
    for name, handler in charter.handlers.items():
        if isinstance(handler, HttpHandler):
            yield from ((("handlers", name), reason) for reason in _of_handler(handler))
    yield from _of_waiting(charter)
    yield from _of_four_eyes(charter)
    if reason := case_price.just_enough(charter):
        yield case_price.PATH, reason
    yield from urgency.failing(charter)
    yield from _dear(charter)
    yield from _dear_schemas(charter)


def _of_waiting(charter: Charter) -> Iterator[tuple[Path, str]]:
    decide = charter.decide
    if decide.wait_at_most is not None and decide.unavailable_policy != "wait":
        yield ("decide", "wait_at_most"), f"has no effect, because when_unavailable is {decide.unavailable_policy}"
    if any(action.kind == "escalate" for action in charter.actions.values()):
        return
    if reasons := tuple(_escalations_of(charter)):
        yield (
            ("actions",),
            f"no action is of kind escalate, so a case that a person should get becomes a dead letter: {reasons[0]}."
            " Add one",
        )


def _of_four_eyes(charter: Charter) -> Iterator[tuple[Path, str]]:
    for name, action in charter.actions.items():
        if action.four_eyes is not None and action.approval != "always":
            yield (
                ("actions", name, "four_eyes"),
                f"counts only where a person is asked, and with approval: {action.approval} a decision with enough"
                " confidence is executed without anybody. Set approval: always",
            )


def _escalations_of(charter: Charter) -> Iterator[str]:
    """When the charter escalates a case, the most frequent reason first."""
    decide, actions = charter.decide, charter.actions
    if decide.asked and decide.unavailable_policy == "wait":
        yield f"one that has waited {decide.longest_wait_s} s for a model"
    if all(rule.when is not None for rule in charter.fallback):
        yield "one that neither a model nor a rule decides"
    for rule in charter.rules:
        if rule.otherwise == "escalate":
            yield f"one that the rule {rule.name} turns down"
    for name, action in actions.items():
        if action.approval == "never":
            yield f"one in which {name} lacks confidence"
        if action.on_failure == "escalate":
            yield f"one in which {name} fails"


def _dear(charter: Charter) -> Iterator[tuple[Path, str]]:
    """Warns of expressions and templates that cannot be evaluated with every allowed event."""
    cancelling = [
        (("playbooks", action, index, "cancel_when", number, "when"), condition.when, EVENT)
        for action, steps in charter.playbooks.items()
        for index, step in enumerate(steps)
        for number, condition in enumerate(step.cancel_when)
    ]
    reconsidering = [
        (("actions", name, "reconsider_on", number, "when"), condition.when, EVENT)
        for name, action in charter.actions.items()
        for number, condition in enumerate(action.reconsider_on)
    ]
    requesting = [
        (("actions", name, "four_eyes", "requested_by", number), source, EVENT)
        for name, action in charter.actions.items()
        if action.four_eyes is not None
        for number, source in enumerate(action.four_eyes.requested_by)
    ]
    expressions: list[tuple[Path, str | None, frozenset[str]]] = [
        *cancelling,
        *reconsidering,
        *requesting,
        *((("on", index, "when"), trigger.when, EVENT) for index, trigger in enumerate(charter.on)),
        *((("rules", index, "require"), rule.require, DECISION) for index, rule in enumerate(charter.rules)),
        *((("fallback", index, "when"), rule.when, CASE) for index, rule in enumerate(charter.fallback)),
        (("budget", "urgent"), charter.budget.urgent, EVENT),
        (("queue", "priority"), charter.queue.priority, EVENT),
    ]
    # A case has a step for each action.
    lengths = {("case", "history"): charter.bounds.actions}
    for path, source, names in expressions:
        expression = None if source is None else compile_expression(source, names)
        if expression is None or not expression.has_loops:
            continue
        if (size := expression.safe_size_with(lengths)) < LARGEST_EVENT:
            yield (
                path,
                f"may be refused for data with more than {size:,} elements, and an event may have {LARGEST_EVENT:,}:"
                " its cost grows faster than the data. Take macros out of one another, read no name of the event inside"
                " a macro, and bound the lists in the schema (maxItems)",
            )
    for path, template in _templates(charter):
        if (elements := safe_elements(template)) < LARGEST_EVENT:
            yield (
                path,
                f"may fail for lists with more than {elements:,} elements, and an event may have {LARGEST_EVENT:,}:"
                " loop over a slice, as in items[:100], or bound the lists in the schema (maxItems)",
            )


def _dear_schemas(charter: Charter) -> Iterator[tuple[Path, str]]:
    """Warns of schemas that are too expensive to validate every allowed event or answer."""
    schemas: list[tuple[Path, Mapping[str, Any] | None]] = [
        (("schema",), charter.data_schema),
        *((("on", index, "schema"), trigger.data_schema) for index, trigger in enumerate(charter.on)),
        *((("actions", name, "parameters"), action.parameters) for name, action in charter.actions.items()),
    ]
    for path, schema in schemas:
        if schema is not None and (size := costs_of(schema).safe_size) < LARGEST_EVENT:
            yield (
                path,
                f"may refuse data of more than {size:,} elements, and an event may have {LARGEST_EVENT:,}: it asks much"
                " of an element. Fewer alternatives and objects in enum, smaller patterns, and no uniqueItems or"
                " multipleOf inside lists cost less",
            )


def _templates(charter: Charter) -> Iterator[tuple[Path, Any]]:
    for index, rule in enumerate(charter.fallback):
        yield ("fallback", index, "parameters"), rule.parameters
        yield ("fallback", index, "reasoning"), rule.reasoning
    for action, steps in charter.playbooks.items():
        for index, step in enumerate(steps):
            yield ("playbooks", action, index, "with"), step.with_
            if step.undo is not None:
                yield ("playbooks", action, index, "undo", "with"), step.undo.with_
    for name, handler in charter.handlers.items():
        if isinstance(handler, HttpHandler):
            yield ("handlers", name, "body"), handler.body


def _of_handler(handler: HttpHandler) -> Iterator[str]:
    if handler.repeatable:
        return
    if not handler.did_not_happen and handler.reconcile is None:
        yield (
            "with idempotent: none no error status proves that nothing happened, so each leaves the step unknown, and a"
            " person has to look. List the statuses by which the other side promises it: did_not_happen: [422, 429]"
        )
    if handler.reconcile is not None and handler.settles_within is None:
        yield (
            "a 404 from reconcile leaves the step unknown: the call may still be queued on the other side."
            " Set how long it can take there, as in settles_within: 2m"
        )
