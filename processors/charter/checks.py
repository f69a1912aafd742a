"""Checks conditions between the parts of a charter, each of which is valid by itself.

`parsing.py` calls `check_charter` once the shape of a charter is valid, and gives each problem its line.
"""

from collections.abc import Iterator
from typing import Any

from nightdesk.processors.charter.actions import Action
from nightdesk.processors.charter.answers import parameters_schema
from nightdesk.processors.charter.compiled_schema import compile_schema
from nightdesk.processors.charter.examples import ExampleInvalid, parse_examples
from nightdesk.processors.charter.handlers import KEY_VARIABLE, HttpHandler, RemindHandler, path_variables
from nightdesk.processors.charter.model import RULES, Charter
from nightdesk.processors.charter.playbooks import Step
from nightdesk.processors.charter.source import Path
from nightdesk.processors.charter.system import prompt_text
from nightdesk.processors.templates import TemplateFailed, members

Found = Iterator[tuple[Path, str]]
RESERVED_RULES = frozenset({"votes"})


def check_charter(charter: Charter) -> Found:
    """Each problem as (path, reason)."""
    yield from _check_rules(charter)
    yield from _check_money(charter)
    yield from _check_fallback(charter)
    yield from _check_unavailable(charter)
    yield from _check_escalation(charter)
    yield from _check_expiry(charter)
    yield from _check_examples(charter)
    yield from _check_prompt(charter)
    for action, steps in charter.playbooks.items():
        yield from _check_playbook(charter, action, steps)


def _check_rules(charter: Charter) -> Found:
    seen: set[str] = set()
    for index, rule in enumerate(charter.rules):
        if rule.name in seen:
            yield ("rules", index, "name"), f"there are two rules named {rule.name!r}"
        if rule.name in RESERVED_RULES:
            yield ("rules", index, "name"), f"{rule.name!r} is a reserved name: use another"
        seen.add(rule.name)


def _check_money(charter: Charter) -> Found:
    if charter.decide.asked and not charter.budget.per_case_usd:
        yield ("budget",), f"{charter.decide.asked[0]} costs money: set per_day_usd and per_case_usd"
    if charter.budget.when_spent == "rules" and charter.decide.asked and "rules" not in charter.decide.provider:
        yield ("budget", "when_spent"), "there are no rules: add rules to the end of decide.provider, and fallback"
    accepted = {trigger.type for trigger in charter.on}
    for event_type in charter.budget.events.keys() - accepted:
        yield ("budget", "events", event_type), f"no trigger accepts {event_type!r}"
    for kind in ("events", "actions"):
        for name, capped in getattr(charter.budget, kind).items():
            if capped.per_day_usd < charter.budget.per_case_usd:
                yield (
                    ("budget", kind, name),
                    "per_day_usd is less than the per_case_usd of one case: no case could start",
                )
    for name in charter.budget.actions:
        if charter.actions[name].kind == "escalate":
            yield ("budget", "actions", name), "escalates to a person, which is never stopped: cap other actions"


def _check_fallback(charter: Charter) -> Found:
    if charter.fallback and "rules" not in charter.decide.provider:
        yield ("fallback",), "is never asked: add rules to the end of decide.provider"
    if charter.decide.provider == ("rules",) and not charter.fallback:
        yield ("fallback",), "is missing: rules decide here, and there are none"
    for index, rule in enumerate(charter.fallback):
        unknown = set(rule.parameters) - _parameter_names(charter.actions[rule.action])
        for name in sorted(unknown):
            yield ("fallback", index, "parameters", name), f"action {rule.action!r} has no parameter {name!r}"


def _check_unavailable(charter: Charter) -> Found:
    path, policy = ("decide", "when_unavailable"), charter.decide.when_unavailable
    if policy is None:
        return
    if not charter.decide.asked:
        yield path, "has no use: decide.provider names no model"
    elif policy == RULES and RULES not in charter.decide.provider:
        yield path, "rules never decide here: add rules to the end of decide.provider"
    elif policy == RULES and not charter.fallback:
        yield path, "there are no rules: write them under fallback"
    elif policy == "escalate" and not any(action.kind == "escalate" for action in charter.actions.values()):
        yield path, "nobody can get the case: add an action of kind escalate"


def _check_escalation(charter: Charter) -> Found:
    """An escalation must need no parameters, because nobody fills them in when nobody decides or an action failed."""
    escalations = {name: action for name, action in charter.actions.items() if action.kind == "escalate"}
    used = [*list(escalations)[:1], *(action.otherwise for action in escalations.values())]
    for name in dict.fromkeys(used):
        if name is not None and name in escalations:
            schema = compile_schema(parameters_schema(escalations[name]))
            if all(schema.problems(parameters, "parameters") for parameters in ({}, {"reason": "x" * 1000})):
                wanted = "has to accept {} or {reason: …} (1,000 characters), because it is used when nobody can decide"
                yield ("actions", name, "parameters"), wanted
    for name, action in escalations.items():
        yield from _check_chain(charter, name, action)


def _check_chain(charter: Charter, name: str, action: Action) -> Found:
    """A chain of escalations must end, so no escalation may be in it twice."""
    seen = [name]
    while action.otherwise is not None:
        following = charter.actions[action.otherwise]
        if following.kind != "escalate":
            yield ("actions", name, "otherwise"), f"{action.otherwise!r} is of kind {following.kind}, not escalate"
            return
        if action.otherwise in seen:
            chain = " -> ".join([*seen, action.otherwise])
            yield ("actions", name, "otherwise"), f"comes back to {action.otherwise!r}: {chain}"
            return
        seen.append(action.otherwise)
        action = following


def _check_expiry(charter: Charter) -> Found:
    if any(action.kind == "escalate" for action in charter.actions.values()):
        return
    for name, action in charter.actions.items():
        if action.on_expiry == "escalate" and "on_expiry" in action.model_fields_set:
            yield ("actions", name, "on_expiry"), "nothing escalates: add an action of kind escalate, or write refuse"


def _check_examples(charter: Charter) -> Found:
    if charter.decide.examples is None:
        return
    try:
        parse_examples(charter.decide.examples.text, charter.actions)
    except ExampleInvalid as error:
        yield ("decide", "examples"), f"{charter.decide.examples.name}: {error}"


def _check_prompt(charter: Charter) -> Found:
    """The prompt sees only the charter, so it can be rendered and checked here."""
    if charter.decide.prompt is None:
        return
    try:
        prompt_text(charter)
    except TemplateFailed as error:
        yield ("decide", "prompt"), f"{charter.decide.prompt.name}: {error}"


def _parameter_names(action: Action) -> frozenset[str]:
    properties: Any = parameters_schema(action).get("properties", {})
    return frozenset(properties)


def _is_open(action: Action) -> bool:
    """Whether the schema allows parameters that it does not name, so that a template may read any."""
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
            yield (*path, "irreversible"), f"cannot be undone, so action {action_name!r} needs writes: true"
        undo = step.undo.with_ if step.undo and step.undo.with_ is not None else {}
        if not _is_open(action):
            for name in sorted(members([step.with_, undo], "decision", "parameters") - known):
                yield (*path, "with"), f"reads decision.parameters.{name}, which action {action_name!r} does not have"
        for name in sorted(members([step.with_, undo], "steps") - results):
            yield (*path, "with"), f"reads steps.{name}, but no earlier step has as: {name}"
        yield from _check_path(charter, step, path)
        if step.cancel_when and not isinstance(charter.handlers[step.do], RemindHandler):
            yield (*path, "cancel_when"), f"is for steps of type remind, and {step.do} calls at once"
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
                yield where, f"{name} needs {variable!r} for its path {handler.path}: set it in with"
