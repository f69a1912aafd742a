"""What must hold between the parts of a charter whose parts are each right.

`parsing.py` calls `check_charter` when the shape of a charter is right and gives each problem its line.
"""

from collections.abc import Iterator
from typing import Any

from processors.charter.answers import parameters_schema
from processors.charter.examples import ExampleInvalid, parse_examples
from processors.charter.json_schemas import validator_for
from processors.charter.model import Action, Charter
from processors.charter.playbooks import KEY_VARIABLE, HttpHandler, Step, path_variables
from processors.charter.source import Path
from processors.templates import members

Found = Iterator[tuple[Path, str]]
RESERVED_RULES = frozenset({"votes"})


def check_charter(charter: Charter) -> Found:
    """Each problem as (path, reason)."""
    yield from _check_rules(charter)
    yield from _check_money(charter)
    yield from _check_fallback(charter)
    yield from _check_escalation(charter)
    yield from _check_examples(charter)
    for action, steps in charter.playbooks.items():
        yield from _check_playbook(charter, action, steps)


def _check_rules(charter: Charter) -> Found:
    seen: set[str] = set()
    for index, rule in enumerate(charter.rules):
        if rule.name in seen:
            yield ("rules", index, "name"), f"there are two rules named {rule.name!r}"
        if rule.name in RESERVED_RULES:
            yield ("rules", index, "name"), f"{rule.name!r} is the name of a verdict of ours: take another"
        seen.add(rule.name)


def _check_money(charter: Charter) -> Found:
    if charter.decide.asked and not charter.budget.per_case_usd:
        yield ("budget",), f"{charter.decide.asked[0]} costs money: give per_day_usd and per_case_usd"
    heard = {trigger.type for trigger in charter.on}
    for event_type in charter.budget.events.keys() - heard:
        yield ("budget", "events", event_type), f"no trigger hears {event_type!r}"
    for kind in ("events", "actions"):
        for name, capped in getattr(charter.budget, kind).items():
            if capped.per_day_usd < charter.budget.per_case_usd:
                yield (
                    ("budget", kind, name),
                    "per_day_usd is less than the per_case_usd of one case: it never opens",
                )
    for name in charter.budget.actions:
        if charter.actions[name].kind == "escalate":
            yield ("budget", "actions", name), "hands over to a person, which is never stopped: cap other actions"


def _check_fallback(charter: Charter) -> Found:
    if charter.fallback and "rules" not in charter.decide.provider:
        yield ("fallback",), "is never asked: add rules to the end of decide.provider"
    if charter.decide.provider == ("rules",) and not charter.fallback:
        yield ("fallback",), "is missing: rules decide here, and there are none"
    for index, rule in enumerate(charter.fallback):
        unknown = set(rule.parameters) - _parameter_names(charter.actions[rule.action])
        for name in sorted(unknown):
            yield ("fallback", index, "parameters", name), f"action {rule.action!r} has no parameter {name!r}"


def _check_escalation(charter: Charter) -> Found:
    """Nobody fills in parameters when nobody decides."""
    for name, action in charter.actions.items():
        if action.kind == "escalate":
            validator = validator_for(parameters_schema(action))
            if not any(validator.is_valid(parameters) for parameters in ({}, {"reason": "x" * 1000})):
                wanted = "has to accept {} or {reason: …} (1,000 characters), since it is taken when nobody can decide"
                yield ("actions", name, "parameters"), wanted
            return


def _check_examples(charter: Charter) -> Found:
    if charter.decide.examples is None:
        return
    try:
        parse_examples(charter.decide.examples.text, charter.actions)
    except ExampleInvalid as error:
        yield ("decide", "examples"), f"{charter.decide.examples.name}: {error}"


def _parameter_names(action: Action) -> frozenset[str]:
    properties: Any = parameters_schema(action).get("properties", {})
    return frozenset(properties)


def _is_open(action: Action) -> bool:
    """Whether the schema leaves the names of the parameters open, so that a template may read any."""
    schema = parameters_schema(action)
    composed = {"$ref", "allOf", "anyOf", "oneOf"} & schema.keys()
    return bool(composed) or schema.get("additionalProperties", True) is not False


def _check_playbook(charter: Charter, action_name: str, steps: tuple[Step, ...]) -> Found:
    action = charter.actions[action_name]
    known = _parameter_names(action)
    results: set[str] = set()
    for index, step in enumerate(steps):
        path: Path = ("playbooks", action_name, index)
        if step.irreversible and not action.writes:
            yield (*path, "irreversible"), f"cannot be undone, so action {action_name!r} has to say writes: true"
        undo = step.undo.with_ if step.undo and step.undo.with_ is not None else {}
        if not _is_open(action):
            for name in sorted(members([step.with_, undo], "decision", "parameters") - known):
                yield (*path, "with"), f"reads decision.parameters.{name}, which action {action_name!r} does not have"
        for name in sorted(members([step.with_, undo], "steps") - results):
            yield (*path, "with"), f"reads steps.{name}, but no earlier step says as: {name}"
        yield from _check_path(charter, step, path)
        if step.as_:
            results.add(step.as_)


def _check_path(charter: Charter, step: Step, path: Path) -> Found:
    calls = [(step.do, step.with_, path)]
    if step.undo is not None:
        given = step.with_ if step.undo.with_ is None else step.undo.with_
        calls.append((step.undo.do, given, (*path, "undo")))
    for name, given, where in calls:
        handler = charter.handlers[name]
        if isinstance(handler, HttpHandler):
            asked = set(path_variables(handler.reconcile or "")) - {KEY_VARIABLE}
            for variable in sorted((set(path_variables(handler.path)) | asked) - given.keys()):
                yield where, f"{name} needs {variable!r} for its path {handler.path}: give it in with"
