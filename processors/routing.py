"""Finds the agents that accept an event, and the reasons why one rejects it.

The ingest stage calls `match` for each event and charter.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from nightdesk.processors.charter.compiled import CompiledCharter, CompiledTrigger
from nightdesk.processors.expressions import ExpressionFailed
from nightdesk.processors.scopes import DataInvalid, Scope, event_scope
from nightdesk.schemas.ids import case_id
from nightdesk.schemas.records import Case, Event


@dataclass(frozen=True, slots=True)
class Routed:
    """An agent that accepts the event, with the position of the matching trigger in its charter."""

    agent: str
    charter_version: str
    trigger: int


@dataclass(frozen=True, slots=True)
class Match:
    """`routed` is None if the agent does not accept the event; with `problems` the event is rejected."""

    routed: Routed | None = None
    problems: tuple[str, ...] = ()


NO_MATCH = Match()


def match(compiled: CompiledCharter, event: Event, scope: Scope | None = None) -> Match:
    """The result of the event for a charter. `scope` is `event_scope(event)`, so the data is parsed once for many
    charters.
    """
    listening = [
        (index, trigger)
        for index, trigger in enumerate(compiled.triggers)
        if trigger.listens_to(event.type, event.subject)
    ]
    if not listening:
        return NO_MATCH
    try:
        scope = scope or event_scope(event)
    except DataInvalid as error:
        return Match(problems=(str(error),))
    return _first(compiled, listening, scope)


def _first(compiled: CompiledCharter, listening: list[tuple[int, CompiledTrigger]], scope: Scope) -> Match:
    """The first matching trigger. The errors of one trigger do not prevent another from matching."""
    problems: list[str] = []
    for index, trigger in listening:
        wrong = trigger.data.problems(scope.values["event"]["data"], "event.data")
        if wrong:
            problems.extend(wrong)
            continue
        try:
            if trigger.when is None or trigger.when.test(scope):
                return Match(Routed(compiled.agent, compiled.version, index))
        except ExpressionFailed as error:
            problems.append(f"on[{index}].when: {error}")
    return Match(problems=tuple(dict.fromkeys(problems)))


def in_order(charters: Iterable[CompiledCharter]) -> list[CompiledCharter]:
    """The order in which an event is offered: exclusive charters by their `order`, then by the agent's name."""
    return sorted(charters, key=lambda compiled: (compiled.charter.order, compiled.agent))


def route(compiled: CompiledCharter, event: Event) -> Routed | None:
    """The agent, if it accepts the event. Bad data is no error here: see `problems`."""
    return match(compiled, event).routed


def problems(compiled: CompiledCharter, event: Event) -> tuple[str, ...]:
    """Why an event of the agent's type is rejected: data that is no JSON, does not match the schema or fails `when`."""
    return match(compiled, event).problems


def open_case(
    compiled: CompiledCharter,
    event: Event,
    received_at: datetime,
    case_at: datetime | None = None,
    stored_at: datetime | None = None,
) -> Case:
    """The case that a routed event starts. `case_at`: when it was first offered to the agent, if that was earlier;
    `stored_at`: when the broker stored the event.
    """
    return Case(
        case_id=case_id(compiled.agent, event.source, event.id, event.subject),
        agent=compiled.agent,
        charter_version=compiled.version,
        event=event,
        received_at=received_at,
        case_at=case_at or received_at,
        stored_at=stored_at,
    )
