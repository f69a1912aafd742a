"""Which agents an event concerns, and what is wrong with one that would concern them.

The ingest stage calls `match` (or `route` and `problems`, its halves) for each event and charter.
"""

from dataclasses import dataclass
from datetime import datetime

from processors.charter.compiled import CompiledCharter, CompiledTrigger
from processors.expressions import ExpressionFailed
from processors.scopes import DataInvalid, Scope, event_scope
from schemas.ids import case_id
from schemas.records import Case, Event


@dataclass(frozen=True, slots=True)
class Routed:
    """An agent that takes the event, with the position of the trigger in its charter that said so."""

    agent: str
    charter_version: str
    trigger: int


@dataclass(frozen=True, slots=True)
class Match:
    """`routed` is None when the agent does not take the event; with `problems` it is to be rejected."""

    routed: Routed | None = None
    problems: tuple[str, ...] = ()


NO_MATCH = Match()


def match(compiled: CompiledCharter, event: Event, scope: Scope | None = None) -> Match:
    """What the charter makes of the event. `event_scope(event)` as `scope` parses the data once for many charters."""
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
    """The first trigger that takes the event. One trigger's problems do not keep another from taking it."""
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


def route(compiled: CompiledCharter, event: Event) -> Routed | None:
    """The agent, if it takes the event. Bad data is no error here: ask `problems`."""
    return match(compiled, event).routed


def problems(compiled: CompiledCharter, event: Event) -> tuple[str, ...]:
    """Why an event the agent listens to cannot be taken: data that is no JSON, breaks the schema or fails `when`."""
    return match(compiled, event).problems


def open_case(compiled: CompiledCharter, event: Event, received_at: datetime) -> Case:
    """The case that a routed event begins."""
    return Case(
        case_id=case_id(compiled.agent, event.source, event.id),
        agent=compiled.agent,
        charter_version=compiled.version,
        event=event,
        received_at=received_at,
    )
