"""A charter that is ready to run: expressions, templates and validators are compiled once for each version.

Every stage keeps one `CompiledCharter` for each version that it meets and passes it to the functions of `routing`,
`prompts`, `replies`, `fallback`, `verification`, `gate` and `deciding`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from nightdesk.processors.charter.actions import Action
from nightdesk.processors.charter.answers import answer_schema, parameters_schema
from nightdesk.processors.charter.compiled_schema import CompiledSchema, compile_schema
from nightdesk.processors.charter.handlers import CharterHandler
from nightdesk.processors.charter.model import Charter, FallbackRule, Rule, Trigger
from nightdesk.processors.charter.parsing import charter_from_json
from nightdesk.processors.charter.playbooks import Step
from nightdesk.processors.charter.stricter import stricter
from nightdesk.processors.charter.system import system_text
from nightdesk.processors.expressions import Expression, compile_expression
from nightdesk.processors.scopes import CASE, DECISION, EVENT
from nightdesk.processors.templates import Render, compile_template


@dataclass(frozen=True, slots=True)
class CompiledTrigger:
    policy: Trigger
    when: Expression | None
    data: CompiledSchema

    def listens_to(self, event_type: str, subject: str) -> bool:
        """Whether the trigger accepts the type and subject of the event; `when` and the data are not evaluated."""
        return event_type == self.policy.type and (
            self.policy.subject is None or fnmatchcase(subject, self.policy.subject)
        )


@dataclass(frozen=True, slots=True)
class CompiledAction:
    """`threshold` is the confidence that the action needs: its own, or the charter's floor if that is higher.
    `external_calls` is the number of calls that its playbook makes. `requested_by` gives those who
    asked for it, and who therefore may not approve it.
    """

    name: str
    policy: Action
    threshold: float
    external_calls: int
    parameters: CompiledSchema
    requested_by: tuple[Expression, ...] = ()

    def problem_with(self, parameters: Any) -> str | None:
        """Why the action does not accept these parameters."""
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
    """A step of a playbook. `render` renders its parameters, `render_undo` those of its undo, if that has its own."""

    policy: Step
    handler: CharterHandler
    render: Render
    render_undo: Render | None


@dataclass(frozen=True, slots=True)
class CompiledCharter:
    """`system` is the part of the prompt that all cases share; `escalation` is the escalating
    action, if there is one. `watched` are the types of events that may cancel a follow-up, `reconsidering` those that
    may take back a decision which waits for a person. `caches_s` has, for each system whose responses are used again,
    how long at most.

    `unrestricted` is the version as its cases began with it, if a charter that was promoted for what waits too has made
    it stricter, and `restricted_by` the version of that charter. `reservable_microusd` is the most that a case of this
    version may have reserved: before that, too.
    """

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
    reservable_microusd: int
    watched: frozenset[str] = frozenset()
    reconsidering: frozenset[str] = frozenset()
    unrestricted: "CompiledCharter | None" = None
    restricted_by: str = ""
    caches_s: Mapping[str, int] = field(default_factory=dict)
    urgent: Expression | None = None
    priority: Expression | None = None

    @property
    def agent(self) -> str:
        return self.charter.agent

    @property
    def is_restricted(self) -> bool:
        """Whether a charter that was promoted since has made it stricter."""
        return self.unrestricted is not None


def compile_charter(charter: Charter) -> CompiledCharter:
    """Compile a charter that was checked. Takes milliseconds: call it once for each version, never for each event."""
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
        watched=frozenset(_watched(charter)),
        reconsidering=frozenset(one.type for action in charter.actions.values() for one in action.reconsider_on),
        reservable_microusd=charter.budget.per_case_microusd,
        caches_s=_caches_s(charter),
        urgent=_when(charter.budget.urgent),
        priority=_when(charter.queue.priority),
    )


def compiled_from_json(text: str) -> CompiledCharter:
    """A charter as it stands on the topic `control`, compiled. Raises `CharterInvalid`."""
    return compile_charter(charter_from_json(text))


def _caches_s(charter: Charter) -> dict[str, int]:
    found: dict[str, int] = {}
    for handler in charter.handlers.values():
        if cache_s := handler.call_rules.cache_s:
            found[handler.outside] = max(cache_s, found.get(handler.outside, 0))
    return found


def restricted(own: CompiledCharter, promoted: CompiledCharter) -> CompiledCharter:
    """The version that a case started with, with what a charter that was promoted since restricts."""
    return replace(
        compile_charter(stricter(own.charter, promoted.charter)),
        version=own.version,
        reservable_microusd=own.reservable_microusd,
        unrestricted=own,
        restricted_by=promoted.version,
    )


def _watched(charter: Charter) -> Iterator[str]:
    for steps in charter.playbooks.values():
        for step in steps:
            yield from (condition.type for condition in step.cancel_when)


def _when(source: str | None, names: frozenset[str] = EVENT) -> Expression | None:
    return None if source is None else compile_expression(source, names)


def _trigger(trigger: Trigger, charter: Charter) -> CompiledTrigger:
    schema = charter.data_schema if trigger.data_schema is None else trigger.data_schema
    return CompiledTrigger(trigger, _when(trigger.when), compile_schema(schema))


def _action(name: str, action: Action, charter: Charter) -> CompiledAction:
    threshold = max(action.confidence, charter.confidence_floor)
    calls = sum(bool(charter.handlers[step.do].outside) for step in charter.playbooks.get(name, ()))
    sources = () if action.four_eyes is None else action.four_eyes.requested_by
    requested_by = tuple(compile_expression(source, EVENT) for source in sources)
    return CompiledAction(name, action, threshold, calls, compile_schema(parameters_schema(action)), requested_by)


def _fallback(rule: FallbackRule) -> CompiledFallback:
    parameters, reasoning = compile_template(rule.parameters), compile_template(rule.reasoning)
    return CompiledFallback(rule, _when(rule.when, CASE), parameters, reasoning)


def _step(step: Step, charter: Charter) -> CompiledStep:
    undo = step.undo
    return CompiledStep(
        policy=step,
        handler=charter.handlers[step.do],
        render=compile_template(step.with_),
        render_undo=None if undo is None or undo.with_ is None else compile_template(undo.with_),
    )
