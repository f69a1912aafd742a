"""What expressions and templates can read: the event, the case, the decision and the results of earlier steps.

Routing, fallback rules, verification and the playbook build a scope once for each event or case, and evaluate all
expressions and templates of a charter in it. Nothing else is visible: no clock, no environment, no other subject.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import cel

from nightdesk.processors.json_text import DataInvalid as DataInvalid
from nightdesk.processors.json_text import parse_exact
from nightdesk.processors.json_text import parse_json as parse_json
from nightdesk.processors.sizes import size_of
from nightdesk.schemas.records import Case, Decision, Event

EVENT = frozenset({"event"})
CASE = EVENT | {"case"}
DECISION = frozenset({"event", "case", "decision"})
STEP = DECISION | {"steps"}
UNDO = STEP | {"result"}
PROMPT = frozenset({"agent", "description", "actions"})
BODY = frozenset({"parameters"})


def _lower(text: str) -> str:
    return text.lower()


def _mentions(text: str, phrases: list[str]) -> bool:
    folded = text.casefold()
    return any(phrase.casefold() in folded for phrase in phrases)


# CEL's `matches` compiles its pattern at each call (70 to 200 microseconds); these two cost under 10.
FUNCTIONS: dict[str, Callable[..., Any]] = {"lower": _lower, "mentions": _mentions}


# What an expression reads: names, each with one of its members, or with `WHOLE`.
Reads = frozenset[tuple[str, str]]
WHOLE = ""


class Scope:
    """Names and their values: plain for templates, and as CEL contexts for expressions, converted on first use."""

    __slots__ = ("_contexts", "_sizes", "values")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self._contexts: dict[Reads, cel.Context] = {}
        self._sizes: dict[Reads, int] = {}

    def having(self, **more: Any) -> "Scope":
        """A new scope with more names; this one does not change."""
        return Scope({**self.values, **more})

    def context(self, reads: Reads) -> cel.Context:
        """The values that are read, for CEL. Converting is the expensive part of an evaluation (2 microseconds for a
        time, 1 for a string), so it happens once, and only for what is read.
        """
        context = self._contexts.get(reads)
        if context is None:
            context = self._contexts[reads] = cel.Context(variables=self.read(reads), functions=FUNCTIONS)
        return context

    def size(self, reads: Reads) -> int:
        """The size of what is read, in the unit of `sizes`."""
        size = self._sizes.get(reads)
        if size is None:
            size = self._sizes[reads] = size_of(self.read(reads))
        return size

    def read(self, reads: Reads) -> dict[str, Any]:
        """The values that are read, by name."""
        found: dict[str, Any] = {}
        for name, member in reads:
            if name not in self.values:
                continue
            value = self.values[name]
            if member == WHOLE or not isinstance(value, dict):
                found[name] = value
                continue
            members = found.setdefault(name, {})
            if member in value:
                members[member] = value[member]
        return found


def event_scope(event: Event) -> Scope:
    """`event` with its `data` parsed. Raises `DataInvalid` if the data is not JSON, or JSON cannot keep it exactly."""
    return Scope({"event": event_values(event)})


def event_values(event: Event) -> dict[str, Any]:
    """An event as expressions and templates read it. Raises `DataInvalid`."""
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time,
        "data": _data(event.data),
    }


# While one record is handled, its event is read several times: to route it, for the rules, for the playbook. Nothing
# changes the value, so all of them may have the same one.
@lru_cache(maxsize=1)
def _data(text: str) -> Any:
    return parse_exact(text, "event.data")


def _past_steps(case: Case) -> list[dict[str, Any]]:
    return [
        {
            "step": past.step,
            "action": past.action,
            "kind": past.kind,
            "parameters": parse_json(past.parameters, "case.history.parameters"),
            "outcomes": [
                {
                    "handler": outcome.handler,
                    "status": outcome.status,
                    "result": parse_json(outcome.result, "case.history.result"),
                }
                for outcome in past.outcomes
            ],
            "interrupted_by": None if past.interrupted_by is None else event_values(past.interrupted_by),
        }
        for past in case.history
    ]


def case_scope(case: Case) -> Scope:
    """`event` and `case`. Raises `DataInvalid` if JSON inside the case is invalid."""
    return event_scope(case.event).having(
        case={
            "id": case.case_id,
            "agent": case.agent,
            "step": case.step,
            "received_at": case.received_at,
            "spent": dict(case.spent.__dict__),
            "history": _past_steps(case),
        }
    )


def decision_values(action: str, kind: str, confidence: float, parameters: Mapping[str, Any], reasoning: str) -> Any:
    """`decision` as rules and playbooks read it."""
    return {
        "action": action,
        "kind": kind,
        "confidence": confidence,
        "parameters": dict(parameters),
        "reasoning": reasoning,
    }


def decision_scope(decision: Decision) -> Scope:
    """`event`, `case` and `decision` of a recorded decision: what a playbook's templates read, apart from `steps`."""
    parameters = parse_json(decision.parameters, "decision.parameters")
    values = decision_values(decision.action, decision.kind, decision.confidence, parameters, decision.reasoning)
    values["id"] = decision.decision_id
    return case_scope(decision.case).having(decision=values)
