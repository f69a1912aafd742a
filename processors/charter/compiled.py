"""A charter made ready to run: expressions, templates and validators compiled once for each version.

Every stage keeps one `CompiledCharter` for each version that it meets and gives it to the functions of `routing`,
`prompts`, `replies`, `fallback`, `verification`, `gate` and `deciding`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import jsonschema_rs

from processors.charter.answers import answer_schema, parameters_schema
from processors.charter.json_schemas import validator_for
from processors.charter.model import Action, Charter, FallbackRule, Rule, Trigger
from processors.charter.playbooks import Handler, Step
from processors.charter.system import system_text
from processors.expressions import Expression, compile_expression
from processors.scopes import DECISION, EVENT
from processors.templates import Render, compile_template

MAX_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """A JSON Schema's validator; None accepts everything."""

    validator: jsonschema_rs.Validator | None

    def problems(self, value: Any, name: str) -> tuple[str, ...]:
        """What is wrong with `value`, the first few, each with its place in it."""
        if self.validator is None or self.validator.is_valid(value):
            return ()
        found: list[str] = []
        for error in self.validator.iter_errors(value):
            if len(found) == MAX_PROBLEMS:
                break
            where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
            found.append(f"{name}{where}: {error.message[:200]}")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class CompiledTrigger:
    policy: Trigger
    when: Expression | None
    data: CompiledSchema

    def listens_to(self, event_type: str, subject: str) -> bool:
        """Whether the trigger is about such events; `when` and the data are not asked yet."""
        return event_type == self.policy.type and (
            self.policy.subject is None or fnmatchcase(subject, self.policy.subject)
        )


@dataclass(frozen=True, slots=True)
class CompiledAction:
    """`threshold` is the confidence that the action needs: its own, or the charter's floor where that is higher.
    `external_calls` is how many its playbook makes.
    """

    name: str
    policy: Action
    threshold: float
    external_calls: int
    parameters: CompiledSchema

    def problem_with(self, parameters: Any) -> str | None:
        """Why the action does not take these parameters."""
        return next(iter(self.parameters.problems(parameters, "parameters")), None)


@dataclass(frozen=True, slots=True)
class CompiledRule:
    policy: Rule
    require: Expression


@dataclass(frozen=True, slots=True)
class CompiledFallback:
    policy: FallbackRule
    when: Expression | None
    parameters: Render
    reasoning: Render


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """A playbook's step. `render` makes its parameters, `render_undo` those of its undo, where that has its own."""

    policy: Step
    handler: Handler
    render: Render
    render_undo: Render | None


@dataclass(frozen=True, slots=True)
class CompiledCharter:
    """`system` is the part of the prompt that all cases share; `escalation` the action that hands over, if any."""

    charter: Charter
    version: str
    triggers: tuple[CompiledTrigger, ...]
    actions: Mapping[str, CompiledAction]
    rules: tuple[CompiledRule, ...]
    fallback: tuple[CompiledFallback, ...]
    playbooks: Mapping[str, tuple[CompiledStep, ...]]
    system: str
    answer_schema: dict[str, Any]
    escalation: str | None

    @property
    def agent(self) -> str:
        return self.charter.agent


def compile_charter(charter: Charter) -> CompiledCharter:
    """Compile a charter that was checked. Costs milliseconds: once for each version, never for each event."""
    escalations = [name for name, action in charter.actions.items() if action.kind == "escalate"]
    return CompiledCharter(
        charter=charter,
        version=charter.version,
        triggers=tuple(_trigger(trigger, charter) for trigger in charter.on),
        actions={name: _action(name, action, charter) for name, action in charter.actions.items()},
        rules=tuple(CompiledRule(rule, compile_expression(rule.require, DECISION)) for rule in charter.rules),
        fallback=tuple(_fallback(rule) for rule in charter.fallback),
        playbooks={name: tuple(_step(step, charter) for step in steps) for name, steps in charter.playbooks.items()},
        system=system_text(charter) if charter.decide.asked else "",
        answer_schema=answer_schema(charter),
        escalation=escalations[0] if escalations else None,
    )


def _schema(schema: Mapping[str, Any] | None) -> CompiledSchema:
    return CompiledSchema(None if schema is None else validator_for(schema))


def _when(source: str | None) -> Expression | None:
    return None if source is None else compile_expression(source, EVENT)


def _trigger(trigger: Trigger, charter: Charter) -> CompiledTrigger:
    schema = charter.data_schema if trigger.data_schema is None else trigger.data_schema
    return CompiledTrigger(trigger, _when(trigger.when), _schema(schema))


def _action(name: str, action: Action, charter: Charter) -> CompiledAction:
    threshold = max(action.confidence, charter.confidence_floor)
    calls = sum(bool(charter.handlers[step.do].outside) for step in charter.playbooks.get(name, ()))
    return CompiledAction(name, action, threshold, calls, _schema(parameters_schema(action)))


def _fallback(rule: FallbackRule) -> CompiledFallback:
    return CompiledFallback(rule, _when(rule.when), compile_template(rule.parameters), compile_template(rule.reasoning))


def _step(step: Step, charter: Charter) -> CompiledStep:
    undo = step.undo
    return CompiledStep(
        policy=step,
        handler=charter.handlers[step.do],
        render=compile_template(step.with_),
        render_undo=None if undo is None or undo.with_ is None else compile_template(undo.with_),
    )
